"""The words about restarts, and the views that show them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from bot.slack.commands.command import AskRestart
from bot.slack.commands.restart_parser import restart_command_text
from bot.slack.views.runs.links import ThreadLinks
from bot.slack.views.runs.restart import looking_view, restart_form, restart_question, restarted
from bot.slack.views.thread.card import run_card, thread_card
from bot.words.markup import PLAIN
from bot.words.restarts import preview_lines, restarted_words, spent_words
from core.domain.runs.checkpoint import Checkpoint, CheckpointDiff, CheckpointReason
from core.domain.runs.request import StartResult
from core.domain.runs.restarts.origin import RESTART_KEY, RestartOrigin
from core.domain.runs.restarts.preview import Discarded, Problem, ProblemKind, RestartPreview
from core.domain.runs.restarts.request import RestartMode
from core.domain.runs.run import CostSource, StopReason
from core.domain.runs.snapshot import CardPlace, RunLink
from core.domain.runs.step import StepStatus
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    NOW,
    assert_fits,
    assert_matches_snapshot,
    assert_view_fits,
    buttons_of,
    make_ended_run,
    make_snapshot,
    make_steps,
    make_thread,
    text_of,
)

OLD = make_ended_run(StopReason.KILLED, turns=7)
CHECKPOINT = Checkpoint(
    id=uuid4(),
    run_id=OLD.id,
    session_id=OLD.session_id,
    attempt=1,
    number=2,
    taken_at=NOW,
    reason=CheckpointReason.STEP_ENDED,
    commit="c" * 40,
    step_id=2,
    step_name="Add tests",
    message_uuid=uuid4(),
    turns=5,
    cost_usd=Decimal("0.031"),
    diff=CheckpointDiff(files=2, added=10, removed=0),
)
DISCARDED = Discarded(
    steps=make_steps(StepStatus.COMPLETED, StepStatus.IN_PROGRESS),
    commits=(CommitInfo(sha="a" * 40, subject="Write the docs"),),
    files=DiffStat(files=(FileChange(path="docs/limits.md", added=39, removed=2),)),
    spent_usd=Decimal("0.05"),
    total_usd=Decimal("0.12"),
    cost_source=CostSource.REPORTED,
)
PREVIEW = RestartPreview(
    run=OLD,
    origin=OLD,
    mode=RestartMode.FORK,
    task=OLD.task_input,
    discarded=DISCARDED,
    checkpoint=CHECKPOINT,
    checkpoints=(replace(CHECKPOINT, id=uuid4(), number=1), CHECKPOINT),
)
GONE = Problem(kind=ProblemKind.BASE_COMMIT_GONE, sentence="The commit `abc` is gone.")
ORIGIN = RestartOrigin(run_id=OLD.run_id, checkpoint=2, step="Add tests")
LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
CARD = CardPlace(channel_id="C1", message_ts="1700000000.000100")


def test_a_preview_tells_the_point_what_goes_and_what_was_spent() -> None:
    lines = preview_lines(PREVIEW, PLAIN)

    assert lines[0] == f"Restart {OLD.run_id} from checkpoint 2 (step Add tests)?"
    told = "\n".join(lines)
    assert "1 commit: aaaaaaaa Write the docs" in told
    assert "1 file +39 −2: docs/limits.md +39 −2" in told
    assert "2 steps" in told
    assert "Already spent: $0.12, $0.050 of it after this. That stays spent." in told


def test_a_preview_without_the_workspace_compares_the_totals() -> None:
    apart = replace(
        DISCARDED,
        files=None,
        diff_then=CHECKPOINT.diff,
        diff_now=DiffStat(files=(FileChange(path="a", added=1, removed=1),)),
    )

    told = "\n".join(preview_lines(replace(PREVIEW, discarded=apart), PLAIN))

    assert "changes of files: 1 file +1 −1 in the end, 2 files +10 −0 at this point" in told


def test_an_unknown_cost_is_not_told_as_nothing() -> None:
    unknown = replace(PREVIEW, discarded=Discarded())

    assert spent_words(unknown) == "What was spent so far is not known."


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (ORIGIN, f"Restarted from checkpoint 2 (step Add tests) of run {OLD.run_id}"),
        (RestartOrigin(run_id=OLD.run_id), f"Restarted from the start of run {OLD.run_id}"),
        (
            replace(ORIGIN, mode=RestartMode.FILES),
            f"Files put back to checkpoint 2 (step Add tests) of run {OLD.run_id}",
        ),
    ],
)
def test_a_restarted_run_says_where_it_comes_from(origin: RestartOrigin, words: str) -> None:
    assert restarted_words(origin, PLAIN) == words


def test_an_origin_is_read_as_it_was_stored() -> None:
    run = replace(OLD, metadata=dict(ORIGIN.to_metadata()))

    assert RestartOrigin.of(run) == ORIGIN
    assert RestartOrigin.of(OLD) is None
    assert RestartOrigin.of(replace(OLD, metadata={RESTART_KEY: "x"})) is None


def test_the_form_has_the_points_newest_first_and_restarts() -> None:
    view = restart_form(PREVIEW, channel_id="C1")

    assert_matches_snapshot("restart_form", view)
    menus = view["blocks"][1]["elements"]
    assert [option["value"] for option in menus[0]["options"]] == ["start", "@2", "@1"]
    assert menus[0]["initial_option"]["value"] == "@2"
    assert view["submit"]["text"] == "Restart"


def test_a_form_with_something_in_the_way_cannot_be_submitted() -> None:
    view = restart_form(replace(PREVIEW, problems=(GONE,)), channel_id="C1")

    assert "submit" not in view
    assert not any(block["type"] == "input" for block in view["blocks"])
    assert "⛔ The commit `abc` is gone." in str(view)


def test_a_form_is_open_while_the_checks_are_made() -> None:
    assert "submit" not in looking_view("run_aaaaaaaaaaaa", channel_id="C1")


def test_a_question_has_the_restart_as_its_command() -> None:
    command = AskRestart(target=OLD.run_id, checkpoint=2, is_chosen=True, message="Try <b> & c")
    question = restart_question(PREVIEW, command)

    buttons = question.blocks[-1]["elements"]
    assert buttons[0]["value"] == f"restart {OLD.run_id} @2 Try &lt;b&gt; &amp; c"
    assert [button["text"]["text"] for button in buttons] == ["Restart", "Choose a point…"]
    refused = restart_question(replace(PREVIEW, problems=(GONE,)), command)
    assert len(refused.blocks[-1]["elements"]) == 1


def test_a_message_that_is_too_long_for_a_button_is_not_cut() -> None:
    long = AskRestart(target=OLD.run_id, checkpoint=2, is_chosen=True, message="x" * 2000)

    assert restart_command_text(long) is None


def test_the_card_of_a_restarted_run_names_the_old_one_and_links_to_it() -> None:
    new = replace(OLD, run_id="run_bbbbbbbbbbbb", metadata=dict(ORIGIN.to_metadata()))
    snapshot = make_snapshot(new, restarted_from=RunLink(run_id=OLD.run_id, card=CARD))

    linked = text_of(run_card(snapshot, now=NOW, links=LINKS))

    address = f"https://acme.slack.com/archives/C1/p{CARD.message_ts.replace('.', '')}"
    assert f"Restarted from checkpoint 2 (step Add tests) of run <{address}|{OLD.run_id}>" in linked


def test_the_old_card_links_to_what_it_was_restarted_as() -> None:
    links = tuple(RunLink(run_id=f"run_{n}", card=CARD if n else None) for n in range(5))
    thread = make_thread(make_snapshot(OLD, restarts=links))

    shown = text_of(thread_card(thread, now=NOW, links=LINKS))

    assert "Restarted as <https" in shown
    assert "|run_4> and 2 more" in shown


def test_an_ended_run_offers_a_restart() -> None:
    assert "· Restart…" in buttons_of(run_card(make_snapshot(OLD), now=NOW))


def test_the_receipt_says_that_the_run_has_a_card_of_its_own() -> None:
    run = replace(OLD, run_id="run_bbbbbbbbbbbb", metadata=dict(ORIGIN.to_metadata()))

    told = restarted(StartResult(run=run, is_new=True)).text

    assert "Restarted from checkpoint 2 (step Add tests) as `run_bbbbbbbbbbbb`" in told
    again = restarted(StartResult(run=run, is_new=False)).text
    assert again == "That was restarted already, as `run_bbbbbbbbbbbb`."


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", AWKWARD_TEXTS)
def test_every_form_and_question_fits_into_slack(name: str) -> None:
    checkpoint = replace(CHECKPOINT, step_name=name)
    points = tuple(replace(checkpoint, id=uuid4(), number=n) for n in range(1, 300))
    discarded = replace(
        DISCARDED,
        files=DiffStat(files=(FileChange(path=name, added=1, removed=None),) * 20),
        commits=(CommitInfo(sha="b" * 40, subject=name),) * 200,
    )
    preview = replace(
        PREVIEW, checkpoint=checkpoint, checkpoints=points, discarded=discarded, task=name
    )

    view = restart_form(preview, channel_id="C1")
    assert_view_fits(view)
    assert len(view["blocks"][1]["elements"][0]["options"]) <= 100
    assert_fits(restart_question(preview, AskRestart(target=OLD.run_id)))
