from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.commands.command import Subcommand
from bot.slack.views.errors import error_message, unexpected_message
from bot.slack.views.help import HELP_ENTRIES, help_message
from bot.slack.views.home import home_view
from bot.slack.views.lists import (
    Reader,
    overview_message,
    run_list_message,
    status_message,
    workflow_list_message,
)
from bot.slack.views.receipts import continued, kill_requested, started
from bot.slack.views.runs.links import ThreadLinks
from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Actor, Origin, Role
from core.domain.kills.termination import Phase
from core.domain.runs.errors import RunNotFound
from core.domain.runs.request import RunFilter, StartResult
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.snapshot import CardPlace, RunSnapshot
from core.domain.workflow import UnknownWorkflow, WorkflowDefinition
from tests.unit.view_helpers import (
    ADA,
    AWKWARD_TEXTS,
    DIFF,
    NOW,
    REPORT,
    RUN_ID,
    assert_fits,
    assert_matches_snapshot,
    assert_view_fits,
    make_ended_run,
    make_kill,
    make_run,
    make_snapshot,
    text_of,
)

EVERY_END = [make_snapshot(make_ended_run(reason)) for reason in StopReason]
CARD = CardPlace(channel_id="C0BUILDS", message_ts="1769220155.940449")
LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
LIVE = [
    make_snapshot(card=CARD),
    make_snapshot(make_run(status=RunStatus.PENDING), queue_position=2, leg=2, about="Add a cache"),
]
RUNNER = Actor(role=Role.RUNNER, origin=Origin.SLACK, user_id=ADA.id, name="ada")
READER = Reader(actor=RUNNER, links=LINKS)


def test_a_list_matches_its_snapshot() -> None:
    drawn = run_list_message([*LIVE, *EVERY_END], run_filter=RunFilter(), reader=READER, now=NOW)

    assert_fits(drawn)
    assert_matches_snapshot("list", drawn)


def test_an_overview_matches_its_snapshot() -> None:
    drawn = overview_message(LIVE, [*LIVE, *EVERY_END], reader=READER, now=NOW)

    assert_fits(drawn)
    assert_matches_snapshot("overview", drawn)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (RunFilter(), "No runs yet."),
        (RunFilter(mine=True, failed=True), "No failed runs of yours yet."),
        (RunFilter(live=True, workflow="fix"), "No live runs of `fix` yet."),
    ],
)
def test_an_empty_list_names_its_filter(wanted: RunFilter, words: str) -> None:
    drawn = run_list_message([], run_filter=wanted, reader=READER, now=NOW)

    assert_fits(drawn)
    assert drawn.text.startswith(words)


def test_an_overview_without_live_runs_says_so() -> None:
    drawn = overview_message([], [], reader=READER, now=NOW)

    assert_fits(drawn)
    assert drawn.text == "Nothing is running or waiting."


def test_the_longest_lists_fit() -> None:
    wide = make_snapshot(
        make_run(task_input="&" * 500, workflow_name="w" * 40, cost_usd=Decimal("0.1")),
        owner=None,
    )

    assert_fits(
        run_list_message(
            [wide] * 100, run_filter=RunFilter(mine=True, live=True), reader=READER, now=NOW
        )
    )
    assert_fits(overview_message([wide] * 100, EVERY_END * 9, reader=READER, now=NOW))


@pytest.mark.parametrize("snapshot", [*LIVE, *EVERY_END], ids=lambda one: one.run.stop_reason)
def test_status_shows_any_run(snapshot: RunSnapshot) -> None:
    assert_fits(status_message(snapshot, now=NOW))


def test_the_status_of_an_ended_run_shows_its_result() -> None:
    run = make_ended_run(StopReason.SUCCESS, result=REPORT, diff=DIFF)

    shown = text_of(status_message(make_snapshot(run), now=NOW))

    assert "*Summary*" in shown
    assert "3 files, +200 −14" in shown
    assert "<#C0BUILDS>" in shown


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400) | st.sampled_from(AWKWARD_TEXTS), st.sampled_from(StopReason))
def test_no_text_breaks_a_status(words: str, reason: StopReason) -> None:
    run = make_ended_run(reason, result=words, task_input=words, error_message=words, diff=DIFF)

    assert_fits(status_message(make_snapshot(run), now=NOW + timedelta(days=400)))


def test_the_shipped_workflows_match_their_snapshot() -> None:
    drawn = workflow_list_message(load_catalog().all)

    assert_fits(drawn)
    assert_matches_snapshot("workflows", drawn)


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

    assert_fits(workflow_list_message(many))
    assert_fits(workflow_list_message([]))


def test_the_help_matches_its_snapshot() -> None:
    drawn = help_message()

    assert_fits(drawn)
    assert_fits(help_message(is_complete=True))
    assert_matches_snapshot("help", drawn)
    assert_matches_snapshot("help_all", help_message(is_complete=True))


@pytest.mark.parametrize("topic", list(Subcommand))
def test_every_subcommand_is_explained_with_an_example(topic: Subcommand) -> None:
    drawn = help_message(topic)

    assert_fits(drawn)
    assert HELP_ENTRIES[topic].example.split()[0] == topic
    assert f"`/workflow {topic}" in text_of(help_message(is_complete=True))


def test_an_error_text_is_escaped() -> None:
    drawn = error_message(UnknownWorkflow("<!channel>", ("fix",), None))

    assert_fits(drawn)
    assert "`&lt;!channel&gt;`" in drawn.text
    assert error_message(RunNotFound("run_x")).text.startswith("I can't find a run `run_x`")


def test_an_unexpected_error_shows_only_its_reference() -> None:
    drawn = unexpected_message("a1b2c3")

    assert_fits(drawn)
    assert "`a1b2c3`" in drawn.text


@pytest.mark.parametrize("phase", list(Phase))
def test_a_kill_is_acknowledged_in_every_phase(phase: Phase) -> None:
    drawn = kill_requested(make_snapshot(), make_kill(phase))

    assert_fits(drawn)
    assert RUN_ID in drawn.text


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("position", [None, 1, 4])
def test_starts_are_acknowledged(is_new: bool, position: int | None) -> None:
    outcome = StartResult(run=make_run(), is_new=is_new, queue_position=position)

    for drawn in (started(outcome), continued(outcome)):
        assert_fits(drawn)
        assert RUN_ID in drawn.text
        assert ("4th in line" in drawn.text) == (is_new and position == 4)


def test_the_home_tab_matches_its_snapshot() -> None:
    view = home_view(mine=EVERY_END, live=LIVE, now=NOW, links=LINKS)

    assert_view_fits(view)
    assert_view_fits(home_view(mine=[], live=[], now=NOW))
    assert_matches_snapshot("home", view)
