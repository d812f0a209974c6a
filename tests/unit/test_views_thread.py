"""What a reader sees of a whole thread: each fact once, and nothing that contradicts another."""

from dataclasses import replace

import pytest

from bot.slack.views.thread.replies import replies
from bot.slack.views.thread.slots import thread_messages
from core.domain.kills.termination import Phase
from core.domain.runs.run import StopReason
from core.domain.runs.snapshot import RunSnapshot
from tests.pictures.cards import CARDS
from tests.unit.view_helpers import (
    DIFF,
    NOW,
    RUN_ID,
    make_ended_run,
    make_kill,
    make_snapshot,
    make_thread,
    text_of,
)


def shown_to_a_reader(snapshot: RunSnapshot) -> str:
    """The visible words of a run's whole thread."""
    messages = thread_messages(make_thread(snapshot), NOW).values()
    return "\n".join(text_of(block) for message in messages for block in message.blocks)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("completed", ["2 files", "1 commit", "tests\u00a04", "18/60 turns", "$0.099", "<@U0ADA>"]),
        ("tests-fail", ["1 test fails", "2 files", "nothing committed", "4 min 12 s"]),
        ("turn-limit", ["60/60", "2 files", "turn limit", "$0.099"]),
        ("killed", ["Ben Okafor", "nothing left running", "7/60 turns", "0123456789ab"]),
        ("model-failed", ["API Error: 529 Overloaded", "3/60 turns"]),
    ],
)
def test_a_thread_tells_each_fact_once(name: str, facts: list[str]) -> None:
    shown = shown_to_a_reader(CARDS[name]).replace("\u00a0", " ")

    assert {fact: shown.count(fact.replace("\u00a0", " ")) for fact in facts} == dict.fromkeys(
        facts, 1
    )


def test_changes_stand_above_the_agents_words() -> None:
    run = make_ended_run(StopReason.SUCCESS, result="All is well.", diff=DIFF)

    shown = shown_to_a_reader(make_snapshot(run))

    assert shown.index("api/limits.py") < shown.index("All is well.")


def test_kept_work_is_said_to_be_on_no_branch_and_nothing_contradicts_it() -> None:
    shown = shown_to_a_reader(CARDS["killed"])

    kept = "*Work kept:* 2 files as a checkpoint (`0123456789ab`), not on the branch."
    assert kept in shown
    assert "stays in the workspace" not in shown
    assert "nothing was committed" not in shown


def test_a_kill_of_a_clean_work_tree_kept_nothing_beside_the_branch() -> None:
    kill = make_kill(Phase.CONFIRMED, work_saved={"commit": "0123456789", "uncommitted_files": 0})

    assert "Work kept" not in shown_to_a_reader(replace(CARDS["killed"], termination=kill))


def test_the_result_of_an_earlier_leg_has_the_figures_that_its_card_showed() -> None:
    first = CARDS["turn-limit"]
    second = replace(CARDS["completed"], run=replace(CARDS["completed"].run, run_id="run_b"), leg=2)

    drawn = replies(make_thread(first, second))

    earlier = text_of(drawn[f"result:{RUN_ID}"])
    assert "⏸️ *Stopped at its turn limit (60/60), not finished*" in earlier
    assert "*Changes:* 2 files, +49 −0" in earlier
    assert "1 commit" not in text_of(drawn["result:run_b"])
