from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.views.advice import ENDING_ADVICE, ending_advice
from bot.slack.views.thread.card import run_card, thread_card
from bot.words.kills import STOPPING_TITLES
from bot.words.runs.facts import tokens_words
from bot.words.runs.states import WAITING_TITLES
from core.domain.actor import User
from core.domain.kills.termination import CriticalWait, Phase
from core.domain.runs.activity.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.run import Run, RunStatus, StopReason, Usage, WaitingOn
from core.domain.runs.snapshot import RunSnapshot, SessionTotal
from core.domain.runs.step import StepStatus
from tests.pictures.cards import CARDS
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    NOW,
    assert_fits,
    assert_matches_snapshot,
    buttons_of,
    make_ended_run,
    make_kill,
    make_run,
    make_snapshot,
    make_steps,
    make_thread,
    problems_of,
    text_of,
)

DONE, NOW_AT = StepStatus.COMPLETED, StepStatus.IN_PROGRESS
KILLING = {"kill_requested_at": NOW}
KILLED = make_ended_run(StopReason.KILLED, turns=7)

CONTINUED = ["+20 turns", "Continue…", "· +10 turns", "· +50 turns", "· Restart…", "· Details"]
# The title and the other lines, of about 60 characters on a desktop.
MAX_LINES = 6

PICTURES: dict[str, RunSnapshot] = {
    **{f"card_{name.replace('-', '_')}": snapshot for name, snapshot in CARDS.items()},
    "card_unconfirmed": make_snapshot(
        make_run(**KILLING), termination=make_kill(Phase.UNCONFIRMED)
    ),
    "card_unverified": make_snapshot(
        make_run(**KILLING),
        termination=make_kill(Phase.UNCONFIRMED, survivors=()),
        kill_machine="build",
    ),
    "card_second_leg": make_snapshot(
        make_run(task_input="Also update the docs"),
        leg=2,
        total=SessionTotal(legs=2, turns=38),
    ),
}


def test_unknown_tokens_are_not_shown_as_zero() -> None:
    unknown = make_ended_run(StopReason.SUCCESS, usage=Usage(), turns=3)

    assert tokens_words(unknown) == "not reported"


@pytest.mark.parametrize("name", PICTURES)
def test_cards_match_their_snapshots(name: str) -> None:
    card = run_card(PICTURES[name], now=NOW)

    assert_fits(card)
    assert_matches_snapshot(name, card)


@pytest.mark.parametrize("reason", list(StopReason))
def test_every_stop_reason_has_a_card_and_words(reason: StopReason) -> None:
    card = run_card(make_snapshot(make_ended_run(reason)), now=NOW)

    assert_fits(card)
    assert ending_advice(make_ended_run(reason))


def test_every_end_has_advice() -> None:
    assert set(ENDING_ADVICE) == set(StopReason)


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_of_a_kill_has_a_card(phase: Phase) -> None:
    card = run_card(make_snapshot(make_run(**KILLING), termination=make_kill(phase)), now=NOW)

    assert_fits(card)
    assert STOPPING_TITLES[phase] in card.text


@pytest.mark.parametrize("waiting", list(WaitingOn))
def test_waiting_is_shown(waiting: WaitingOn) -> None:
    assert (
        WAITING_TITLES[waiting]
        in run_card(make_snapshot(make_run(waiting_on=waiting)), now=NOW).text
    )


@pytest.mark.parametrize(
    ("snapshot", "labels"),
    [
        (make_snapshot(), ["Kill", "Details"]),
        (make_snapshot(make_run(status=RunStatus.PENDING)), ["Kill", "Details"]),
        (
            make_snapshot(make_run(**KILLING), termination=make_kill(Phase.INTERRUPTED)),
            ["Force kill", "Details"],
        ),
        (
            make_snapshot(make_run(**KILLING), termination=make_kill(Phase.KILLED, force=True)),
            ["Details"],
        ),
        (
            make_snapshot(make_run(**KILLING), termination=make_kill(Phase.UNCONFIRMED)),
            ["Details"],
        ),
        (make_snapshot(make_run(**KILLING), termination=make_kill(Phase.CONFIRMED)), ["Details"]),
        (
            make_snapshot(make_ended_run(StopReason.SUCCESS)),
            ["Continue…", "· Restart…", "· Details"],
        ),
        (make_snapshot(make_ended_run(StopReason.MAX_TURNS)), CONTINUED),
        (
            make_snapshot(KILLED),
            ["Continue (23 turns left)", "· Continue…", "· Restart…", "· Details"],
        ),
        (make_snapshot(make_ended_run(StopReason.SETUP_ERROR, turns=0)), ["Details"]),
        (make_snapshot(make_ended_run(StopReason.WORKSPACE_ERROR, turns=0)), ["Details"]),
        (
            make_snapshot(make_ended_run(StopReason.WORKSPACE_ERROR, turns=3)),
            ["Continue (27 turns left)", "· Continue…", "· Restart…", "· Details"],
        ),
    ],
)
def test_only_applicable_buttons_are_shown(snapshot: RunSnapshot, labels: list[str]) -> None:
    assert buttons_of(run_card(snapshot, now=NOW)) == labels


def test_the_kill_dialog_names_the_owner_and_the_cost() -> None:
    card = run_card(make_snapshot(), now=NOW)

    question = card.blocks[-1]["elements"][0]["confirm"]["text"]["text"]
    assert question.startswith("Stop @Ada Lovelace's run? It has cost $0.12 (estimated) so far.")


def test_the_force_kill_dialog_names_them_too() -> None:
    snapshot = make_snapshot(make_run(**KILLING), termination=make_kill(Phase.INTERRUPTED))

    question = run_card(snapshot, now=NOW).blocks[-1]["elements"][0]["confirm"]["text"]["text"]
    assert question.startswith("This is @Ada Lovelace's run. It has cost $0.12 (estimated) so far.")
    assert "without any time" in question


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (make_run(cost_usd=None, cost_source=None), "cost so far is not known yet"),
        (make_run(cost_usd=None, started_at=None, status=RunStatus.PENDING), "it has cost nothing"),
    ],
)
def test_the_kill_dialog_never_shows_an_unknown_cost_as_zero(run: Run, words: str) -> None:
    card = run_card(make_snapshot(run), now=NOW)

    question = card.blocks[-1]["elements"][0]["confirm"]["text"]["text"]
    assert words in question
    assert "$" not in question


def test_the_card_is_stable_while_an_unconfirmed_kill_is_retried() -> None:
    phases = {Phase.REQUESTED: 0, Phase.KILLED: 7000, Phase.UNCONFIRMED: 9000}
    survivors = make_kill(Phase.UNCONFIRMED).survivors
    waits = make_kill(Phase.UNCONFIRMED, phases=phases)
    tries = make_kill(Phase.KILLED, phases=phases, survivors=survivors)

    cards = [
        run_card(make_snapshot(make_run(**KILLING), termination=kill), now=NOW)
        for kill in (waits, tries)
    ]

    assert cards[0] == cards[1]


def test_a_draining_kill_names_the_command_it_waits_for() -> None:
    open_call = CriticalWait(
        tool="Bash", summary="git commit -m x", pattern="git commit", milliseconds=0, finished=False
    )
    known = make_kill(Phase.DRAINING, waited_for=(open_call,))
    unknown = make_kill(Phase.DRAINING)

    details = [
        text_of(run_card(make_snapshot(make_run(**KILLING), termination=kill), now=NOW))
        for kill in (known, unknown)
    ]

    assert "Waiting for `git commit -m x` to finish, a few seconds at most" in details[0]
    assert (
        "must not be cut in half to finish, a few seconds at most (last seen: `Bash: make test`)"
        in details[1]
    )


def lines_of(snapshot: RunSnapshot) -> list[str]:
    """The lines of a card above its buttons."""
    card = run_card(snapshot, now=NOW)
    drawn = [block for block in card.blocks if block["type"] != "actions"]
    words = "\n".join(text_of(block) for block in drawn)
    return words.replace("\u00a0", " ").splitlines()


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_about_six_lines(name: str) -> None:
    assert len(lines_of(CARDS[name])) <= MAX_LINES


def test_a_clean_card_is_title_outcome_and_context() -> None:
    assert lines_of(CARDS["completed"]) == [
        "✅ *Add rate limiting to the API* · implement",
        "*Completed* · 2 files +49 −0 · 1 commit · tests 4 ✅",
        "Steps: 4 of 4 done",
        "<@U0ADA> · 18/60 turns · $0.099 · 4 min 12 s · acme/api@main",
    ]


def test_failing_tests_are_never_green() -> None:
    lines = lines_of(CARDS["tests-fail"])

    assert lines == [
        "⚠️ *Finished, 1 test fails, nothing committed, steps left*",
        "Add rate limiting to the API · implement",
        "2 files +49 −0 · tests 3 ✅ 1 ❌",
        "Steps: 2 of 4 done · ⏸️ Run the tests · left: Commit",
        "<@U0ADA> · 18/60 turns · $0.099 · 4 min 12 s · acme/api@main",
    ]
    assert "Completed" not in run_card(CARDS["tests-fail"], now=NOW).text


def test_a_failure_names_its_cause_in_the_title() -> None:
    title = lines_of(CARDS["no-repository"])[0]

    assert title == "❌ *Cannot reach nowhere.invalid*"


def test_a_live_card_has_the_current_step_and_how_many_are_done() -> None:
    assert "*Running* · Running the tests · 2 of 4 done" in lines_of(CARDS["live"])


def test_a_long_silence_is_shown_with_what_is_awaited() -> None:
    assert lines_of(CARDS["waiting-long"])[:3] == [
        "🕐 *Nothing heard for 9 min*",
        "Add rate limiting to the API · implement",
        "The model has not answered yet",
    ]
    assert "Nothing heard" not in "\n".join(lines_of(CARDS["live"]))


def test_a_short_silence_names_the_tool_that_is_awaited() -> None:
    heard = NOW - timedelta(seconds=179)
    awaited = Awaited(kind=AwaitedKind.TOOL, name="Bash: make test", since=heard, heard_at=heard)
    silent = make_run(
        last_activity_at=heard - timedelta(seconds=1), metadata={AWAITED_KEY: awaited.to_json()}
    )

    assert "🕐 Nothing heard for 2 min, `make test` is still running" in lines_of(
        make_snapshot(silent)
    )


def test_an_interrupted_step_is_paused_and_not_failed() -> None:
    shown = "\n".join(lines_of(CARDS["killed"]))

    assert "Steps: 1 of 4 done · ⏸️ Write the limiter" in shown
    assert "❌" not in shown


def test_a_failed_step_is_named_and_the_error_is_told_once() -> None:
    crash = "The program crashed"
    done, failed = make_steps(DONE, StepStatus.FAILED)
    run = make_ended_run(StopReason.AGENT_ERROR, error_message=crash)

    lines = lines_of(make_snapshot(run, steps=(done, replace(failed, error=crash))))

    assert lines[2:4] == [crash, "Steps: 1 of 2 done · ❌ Step number 2"]


def test_a_dropped_step_does_not_count_as_done() -> None:
    steps = make_steps(DONE, StepStatus.SKIPPED)

    lines = lines_of(make_snapshot(make_ended_run(StopReason.SUCCESS), steps=steps))

    assert "Steps: 1 of 2 done · 1 dropped" in lines


def test_what_is_unknown_is_left_out_and_an_estimate_is_marked() -> None:
    unknown = lines_of(make_snapshot(make_run(cost_usd=None, cost_source=None)))[-1]
    estimated = lines_of(make_snapshot())[-1]

    assert "$" not in unknown
    assert "~$0.12" in estimated


def test_an_unchanged_tree_is_told_beside_the_steps() -> None:
    lines = lines_of(CARDS["model-failed"])

    steps = "Steps: 1 of 4 done · ❌ Write the limiter · left: Run the tests, Commit"
    assert f"{steps} · no file changed" in lines


def test_an_asterisk_in_a_task_does_not_end_the_title() -> None:
    title = lines_of(make_snapshot(make_run(task_input="Fix *args and 2*3")))[0]

    assert title == "▶️ *Fix ∗args and 2∗3* · implement"


def test_a_card_stays_the_same_for_several_seconds() -> None:
    snapshot = make_snapshot(steps=make_steps(NOW_AT))

    assert run_card(snapshot, now=NOW) == run_card(snapshot, now=NOW + timedelta(seconds=2))


def test_a_threads_card_keeps_its_first_task() -> None:
    first = make_snapshot(make_ended_run(StopReason.MAX_TURNS))
    second = make_snapshot(make_run(run_id="run_bbbbbbbbbbbb", task_input="Go on"), leg=2)

    card = thread_card(make_thread(first, second), now=NOW)

    assert_fits(card)
    assert text_of(card.blocks[0]).strip() == "▶️ *Add rate limiting to the API* · implement"
    assert "Go on" not in text_of(card)


ANY = st.text(max_size=400) | st.sampled_from(AWKWARD_TEXTS)


@settings(max_examples=60, deadline=None)
@given(ANY, ANY, st.sampled_from(RunStatus), st.data())
def test_no_text_breaks_a_card(
    words: str, others: str, status: RunStatus, data: st.DataObject
) -> None:
    changes: dict[str, Any] = {
        "task_input": words,
        "workflow_name": others[:60],
        "git_repo": others,
        "git_branch": words,
        "last_activity": others,
        "session_name": words,
        "status": status,
        "stop_reason": data.draw(st.sampled_from([*StopReason, None])),
        "kill_requested_at": data.draw(st.sampled_from([NOW, None])),
        "started_at": data.draw(st.sampled_from([NOW, None])),
    }
    plan = tuple(
        replace(step, name=words, active_name=others)
        for step in make_steps(*data.draw(st.lists(st.sampled_from(StepStatus), max_size=30)))
    )
    snapshot = make_snapshot(
        make_run(**changes),
        # Not an id that Slack could have given: such an owner would rightly be mentioned.
        owner=User(id=make_run().id, name=others, slack_user_id=f"<{words[:11]}"),
        steps=plan,
        termination=data.draw(st.sampled_from([None, *map(make_kill, Phase)])),
    )

    card = run_card(snapshot, now=NOW, task=others)

    assert problems_of(card) == []
