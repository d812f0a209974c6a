"""Questions before a kill, and the results of bulk kills."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack import ids
from bot.slack.commands.command import CommandContext
from bot.slack.commands.forms import BadForm, read_kill_form, read_kill_many_form
from bot.slack.commands.kill_command import kill_command_text
from bot.slack.commands.parser import parse_slash
from bot.slack.views.kill_questions import (
    kill_form,
    kill_many_form,
    kill_many_question,
    kill_question,
    killed_many,
    nothing_to_kill,
)
from bot.slack.views.thread.replies import replies
from core.domain.actor import User
from core.domain.kills.bulk_kill import (
    MAX_BULK_KILL_RUNS,
    BulkKillResult,
    KillPreview,
    KillSelection,
)
from core.domain.kills.termination import CriticalWait, Phase
from core.domain.runs.request import KillRequest, Place, RunFilter
from core.domain.runs.run import CostSource, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    NOW,
    RUN_ID,
    assert_fits,
    assert_matches_snapshot,
    assert_view_fits,
    make_ended_run,
    make_kill,
    make_run,
    make_snapshot,
    make_thread,
    text_of,
)

BEN = User(id=UUID(int=8), name="Ben", slack_team_id="T0ACME", slack_user_id=None)
CONTEXT = CommandContext(request_key="k", place=Place(team_id="T", channel_id="C"))
MINE = KillSelection(run_filter=RunFilter(live=True, mine=True))


def numbered(number: int, **changes: Any) -> RunSnapshot:
    run = make_run(run_id=f"run_{number:012x}", id=UUID(int=1000 + number), **changes)
    return RunSnapshot(run=run, owner=BEN)


THREE = (
    numbered(1),
    numbered(
        2,
        task_input="Mend <the> build & " + "go on " * 40,
        workflow_name="fix",
        cost_usd=Decimal("1.5"),
        cost_source=CostSource.REPORTED,
        started_at=NOW - timedelta(hours=2),
    ),
    numbered(3, status=RunStatus.PENDING, started_at=None, cost_usd=None, cost_source=None),
)


def submitted(view: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    values = {ids.FIELD_REASON: {ids.VALUE: {"type": "plain_text_input", "value": reason}}}
    return {**view, "state": {"values": values}}


def test_the_question_about_another_persons_run_matches_its_snapshot() -> None:
    request = KillRequest(target="run_0a1b", reason="wrong branch")

    form = kill_form(make_snapshot(), request, channel_id="C0BUILDS", now=NOW)
    message = kill_question(make_snapshot(), request, now=NOW)

    assert_view_fits(form)
    assert_fits(message)
    assert_matches_snapshot("modal_kill", form)
    assert_matches_snapshot("kill_question", message)
    assert "Stop @Ada Lovelace's run? It has cost $0.12 (estimated) so far." in text_of(form)


def test_the_list_of_runs_to_kill_matches_its_snapshot() -> None:
    offer = KillPreview(
        selection=MINE, runs=THREE, omitted_count=2, forbidden_count=1, stopping_count=1
    )

    form = kill_many_form(offer, channel_id="C0BUILDS", now=NOW)
    message = kill_many_question(offer)

    assert_view_fits(form)
    assert_fits(message)
    assert_matches_snapshot("modal_kill_many", form)
    assert_matches_snapshot("kill_many_question", message)
    shown = text_of(form)
    for words in (
        "*3 live runs of yours* would be stopped",
        "2 more runs of the kind",
        "1 run is being stopped already",
        "1 run of other people would be left alone",
        "running 2 h 00 min · $1.50 reported",
        "waiting 5 min · no cost, not begun",
    ):
        assert words in shown


def test_a_form_kills_exactly_the_listed_runs() -> None:
    offer = KillPreview(selection=replace(MINE, force=True), runs=THREE)

    request = read_kill_many_form(
        submitted(kill_many_form(offer, channel_id="C", now=NOW), "it is late")
    )

    assert request.run_ids == tuple(one.run.run_id for one in THREE)
    assert request.force
    assert request.reason == "it is late"


def test_the_form_of_one_run_keeps_force_and_accepts_a_reason() -> None:
    form = kill_form(make_snapshot(), KillRequest(target="x", force=True), channel_id="C", now=NOW)

    assert read_kill_form(submitted(form)) == KillRequest(target=RUN_ID, force=True)


@pytest.mark.parametrize("metadata", ["", "nonsense", "[]", '{"runs": 3}', '{"runs": " "}'])
def test_a_form_with_invalid_metadata_kills_nothing(metadata: str) -> None:
    with pytest.raises(BadForm, match="form"):
        read_kill_many_form({"private_metadata": metadata})
    with pytest.raises(BadForm, match="form"):
        read_kill_form({"private_metadata": metadata})


def test_the_largest_selection_fits_into_a_form() -> None:
    listed = tuple(
        numbered(number, task_input="&" * 4000, workflow_name="w" * 100)
        for number in range(MAX_BULK_KILL_RUNS)
    )
    offer = KillPreview(
        selection=replace(MINE, reason="r" * 400), runs=listed, omitted_count=30, forbidden_count=4
    )

    form = kill_many_form(offer, channel_id="C0123456789", now=NOW)

    assert_view_fits(form)
    assert len(form["private_metadata"]) < 3000
    assert len(json.dumps(form)) < 250_000
    assert f"only the oldest {MAX_BULK_KILL_RUNS} are listed" in text_of(form)


def test_an_empty_selection_is_reported_with_the_excluded_runs() -> None:
    wanted = RunFilter(live=True, workflow="fix")

    answer = nothing_to_kill(
        KillPreview(selection=KillSelection(run_filter=wanted), runs=(), forbidden_count=2)
    )

    assert_fits(answer)
    assert "there are no live runs of the workflow `fix`" in answer.text
    assert "2 runs of other people" in text_of(answer)


def test_the_result_of_a_bulk_kill_is_shown_by_run() -> None:
    outcome = BulkKillResult(
        requested=("run_a", "run_b"),
        already_stopping=("run_c",),
        already_ended=("run_d",),
        forbidden=("run_e",),
    )

    answer = killed_many(outcome)

    assert_fits(answer)
    assert_matches_snapshot("killed_many", answer)
    assert answer.text.startswith("Asked 2 runs to stop")


def test_a_bulk_kill_without_a_live_run_says_that_nothing_more_was_stopped() -> None:
    answer = killed_many(BulkKillResult(already_ended=tuple(f"run_{n}" for n in range(30))))

    assert_fits(answer)
    assert "Nothing more was stopped" in text_of(answer)
    assert "and 18 more" in text_of(answer)


def test_the_proof_names_the_commands_it_waited_for() -> None:
    waited = (
        CriticalWait(
            tool="Bash", summary="git commit -m <x>", pattern="p", milliseconds=1200, finished=True
        ),
        CriticalWait(
            tool="Bash", summary="make db", pattern="p", milliseconds=3000, finished=False
        ),
    )
    dead = make_snapshot(
        make_ended_run(StopReason.KILLED), termination=make_kill(Phase.CONFIRMED, waited_for=waited)
    )

    result = replies(make_thread(dead))[f"result:{RUN_ID}"]

    assert_fits(result)
    assert (
        "Waited 1.2 s for `git commit -m &lt;x&gt;`, 3.0 s for `make db`, which did not finish"
        in text_of(result)
    )


WORDS = st.text(max_size=200) | st.sampled_from(["", "wrong <branch> & more", "it's `late`"])


@settings(max_examples=100, deadline=None)
@given(WORDS, st.booleans(), st.booleans(), st.sampled_from([None, "fix", "my-flow"]))
def test_a_button_repeats_the_typed_command(
    reason: str, force: bool, mine: bool, workflow: str | None
) -> None:
    typed = parse_slash(f"kill run_0a1b2c {'--force' if force else ''}", CONTEXT)
    assert isinstance(typed, KillRequest)
    many = KillSelection(run_filter=RunFilter(live=True, mine=mine, workflow=workflow), force=force)

    assert parse_slash(kill_command_text(typed), CONTEXT) == typed
    assert parse_slash(kill_command_text(many), CONTEXT) == many
    assert len(kill_command_text(replace(many, reason=reason * 30))) <= 2000


@pytest.mark.parametrize("reason", ["wrong <branch> & more", "it is `late`", "a --force b", "ü"])
def test_a_button_keeps_the_reason(reason: str) -> None:
    request = KillRequest(target="run_0a1b2c3d4e5f", force=True, reason=reason)
    many = replace(MINE, reason=reason)

    assert parse_slash(kill_command_text(request), CONTEXT) == request
    assert parse_slash(kill_command_text(many), CONTEXT) == many


ANY = st.text(max_size=400) | st.sampled_from(AWKWARD_TEXTS)


@settings(max_examples=60, deadline=None)
@given(ANY, ANY, st.booleans())
def test_no_text_breaks_a_question(words: str, others: str, force: bool) -> None:
    snapshot = make_snapshot(
        make_run(task_input=words, workflow_name=others[:100]),
        owner=User(id=UUID(int=9), name=others, slack_user_id=f"<{words[:11]}"),
    )
    request = KillRequest(target=RUN_ID, force=force, reason=others)
    selection = KillSelection(run_filter=RunFilter(workflow=others[:60]), force=force, reason=words)
    offer = KillPreview(selection=selection, runs=(snapshot,))

    assert_view_fits(kill_form(snapshot, request, channel_id="C", now=NOW))
    assert_fits(kill_question(snapshot, request, now=NOW))
    assert_view_fits(kill_many_form(offer, channel_id="C", now=NOW))
    assert_fits(kill_many_question(offer))
    assert_fits(nothing_to_kill(offer))
