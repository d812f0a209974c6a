from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.commands.command import Subcommand
from bot.slack.views.errors import error_message, unexpected_message
from bot.slack.views.help import ENTRIES, help_message
from bot.slack.views.home import home
from bot.slack.views.lists import overview, run_list, status, workflow_list
from bot.slack.views.receipts import continued, killing, started
from core.agent.definitions.catalog import load_catalog
from core.domain.kills.termination import Phase
from core.domain.runs.request import RunFilter, Started
from core.domain.runs.run import RunNotFound, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.domain.workflow import UnknownWorkflow, WorkflowDefinition
from tests.unit.drawn import (
    AWKWARD,
    DIFF,
    NOW,
    REPORT,
    RUN_ID,
    a_kill,
    a_run,
    a_snapshot,
    assert_fits,
    assert_pictured,
    assert_view_fits,
    ended,
    words_of,
)

EVERY_END = [a_snapshot(ended(reason)) for reason in StopReason]
LIVE = [a_snapshot(), a_snapshot(a_run(status=RunStatus.PENDING), queue_position=2)]


def test_a_list_looks_as_it_did() -> None:
    drawn = run_list([*LIVE, *EVERY_END], wanted=RunFilter(), now=NOW)

    assert_fits(drawn)
    assert_pictured("list", drawn)


def test_an_overview_looks_as_it_did() -> None:
    drawn = overview(LIVE, [*LIVE, *EVERY_END], now=NOW)

    assert_fits(drawn)
    assert_pictured("overview", drawn)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (RunFilter(), "No runs yet."),
        (RunFilter(mine=True, failed=True), "No failed runs of yours yet."),
        (RunFilter(live=True, workflow="fix"), "No live runs of `fix` yet."),
    ],
)
def test_an_empty_list_says_what_is_not_there(wanted: RunFilter, words: str) -> None:
    drawn = run_list([], wanted=wanted, now=NOW)

    assert_fits(drawn)
    assert drawn.text.startswith(words)


def test_nothing_live_is_said() -> None:
    drawn = overview([], [], now=NOW)

    assert_fits(drawn)
    assert drawn.text == "Nothing is running or waiting."


def test_the_longest_lists_fit() -> None:
    wide = a_snapshot(
        a_run(task_input="&" * 500, workflow_name="w" * 40, cost_usd=Decimal("0.1")),
        owner=None,
    )

    assert_fits(run_list([wide] * 100, wanted=RunFilter(mine=True, live=True), now=NOW))
    assert_fits(overview([wide] * 100, EVERY_END * 9, now=NOW))


@pytest.mark.parametrize("snapshot", [*LIVE, *EVERY_END], ids=lambda one: one.run.stop_reason)
def test_status_shows_any_run(snapshot: RunSnapshot) -> None:
    assert_fits(status(snapshot, now=NOW))


def test_status_of_an_ended_run_says_what_came_out() -> None:
    run = ended(StopReason.SUCCESS, result=REPORT, diff=DIFF)

    shown = words_of(status(a_snapshot(run), now=NOW))

    assert "*Summary*" in shown
    assert "3 files, +200 −14" in shown
    assert "<#C0BUILDS>" in shown


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400) | st.sampled_from(AWKWARD), st.sampled_from(StopReason))
def test_no_words_break_a_status(words: str, reason: StopReason) -> None:
    run = ended(reason, result=words, task_input=words, error_message=words, diff=DIFF)

    assert_fits(status(a_snapshot(run), now=NOW + timedelta(days=400)))


def test_the_shipped_workflows_look_as_they_did() -> None:
    drawn = workflow_list(load_catalog().all)

    assert_fits(drawn)
    assert_pictured("workflows", drawn)


def test_many_workflows_fit() -> None:
    many = [
        WorkflowDefinition(
            name="w" * 36 + f"{n:04}",
            description="&" * 200,
            prompt="x",
            aliases=("a" * 40,) * 20,
            budget_usd=Decimal(10_000),
        )
        for n in range(200)
    ]

    assert_fits(workflow_list(many))
    assert_fits(workflow_list([]))


def test_help_looks_as_it_did() -> None:
    drawn = help_message()

    assert_fits(drawn)
    assert_pictured("help", drawn)


@pytest.mark.parametrize("topic", list(Subcommand))
def test_every_subcommand_is_explained_with_an_example(topic: Subcommand) -> None:
    drawn = help_message(topic)

    assert_fits(drawn)
    assert ENTRIES[topic].example.split()[0] == topic
    assert f"`/workflow {topic}" in words_of(help_message())


def test_an_error_says_its_words_harmlessly() -> None:
    drawn = error_message(UnknownWorkflow("<!channel>", ("fix",), None))

    assert_fits(drawn)
    assert "`&lt;!channel&gt;`" in drawn.text
    assert error_message(RunNotFound("run_x")).text.startswith("I can't find a run `run_x`")


def test_an_unexpected_error_gives_a_number_and_no_more() -> None:
    drawn = unexpected_message("a1b2c3")

    assert_fits(drawn)
    assert "`a1b2c3`" in drawn.text


@pytest.mark.parametrize("phase", list(Phase))
def test_a_kill_is_acknowledged_in_every_phase(phase: Phase) -> None:
    drawn = killing(RUN_ID, a_kill(phase))

    assert_fits(drawn)
    assert RUN_ID in drawn.text


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("position", [None, 1, 4])
def test_starts_are_acknowledged(is_new: bool, position: int | None) -> None:
    outcome = Started(run=a_run(), is_new=is_new, queue_position=position)

    for drawn in (started(outcome), continued(outcome)):
        assert_fits(drawn)
        assert RUN_ID in drawn.text
        assert ("4th in line" in drawn.text) == (is_new and position == 4)


def test_the_home_tab_looks_as_it_did() -> None:
    view = home(mine=EVERY_END, live=LIVE, now=NOW)

    assert_view_fits(view)
    assert_view_fits(home(mine=[], live=[], now=NOW))
    assert_pictured("home", view)
