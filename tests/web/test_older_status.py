"""The status of the older API: its fields, types and meanings, for every client it had."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from core.domain.actor import Role
from core.domain.runs.run import CostSource, RunStatus, StopReason, Usage
from core.domain.runs.work.diff import CommitInfo, DiffStat
from core.store.runs import runs
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, missing_table, running_run, stored_run
from tests.web.older_api import BASE_FIELDS, check_base, completed_runs, example_run


@pytest.mark.parametrize(
    ("stop_reason", "status", "exit_code"),
    [
        (StopReason.SUCCESS, RunStatus.COMPLETED, 0),
        (StopReason.MAX_TURNS, RunStatus.FAILED, 1),
        (StopReason.KILLED, RunStatus.KILLED, 1),
    ],
)
async def test_an_ended_run_has_every_base_field_with_its_meaning(
    api: ApiHarness, stop_reason: StopReason, status: RunStatus, exit_code: int
) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await running_run(api.database, workflow_name="implement", max_turns=60)
    diff = DiffStat(files=(), commits=(CommitInfo(sha="b" * 40, subject="Add it"),))
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=stop_reason,
            now=NOW + timedelta(seconds=90.5),
            result="Done.",
            error_message=None if exit_code == 0 else "It stopped.",
            diff=diff,
            final_commit_hash="b" * 40,
            cost_usd=Decimal("1.4468734"),
            cost_source=CostSource.REPORTED,
            usage=Usage(input_tokens=1000, output_tokens=234),
            turns=51,
            tool_calls=22,
            tools_used=("Bash", "Edit"),
            last_activity="Editing",
        )

    body = (await api.get(f"{CONSOLE}/run/{run.run_id}/status?enhanced=false", token)).body

    assert body == {
        "run_id": run.run_id,
        "status": status.value,
        "session_id": str(run.session_id),
        "workflow_name": "implement",
        "started_at": "2026-11-21T12:00:00Z",
        "updated_at": "2026-11-21T12:01:30.500000Z",
        "completed_at": "2026-11-21T12:01:30.500000Z",
        "execution_time": 90.5,
        "result": "Done.",
        "error": None if exit_code == 0 else "It stopped.",
        "exit_code": exit_code,
        "git_commits": ["b" * 40],
        "git_sha_end": "b" * 40,
        "cost": 1.4468734,
        "tokens": 1234,
        "turns": 51,
        "tool_calls": 22,
        "tools_used": ["Bash", "Edit"],
        "progress_indicator": "Turn 51, 22 tools used",
        "last_activity": "Editing",
        "recent_steps": [],
        "elapsed_seconds": 90.5,
        "current_turns": 51,
        "max_turns": 60,
        "logs": None,
    }
    check_base(body)


async def test_an_older_client_gets_the_base_fields_and_nothing_else(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await example_run(api)

    options = {"enhanced": "false", "unknown_to_us": "1"}
    plain = await api.get(f"{CONSOLE}/run/{run.run_id}/status", token, params=options)
    options = {"include_steps": "false", "include_logs": "true", "debug": "true"}
    chosen = await api.get(f"{CONSOLE}/run/{run.run_id}/status", token, params=options)

    assert list(plain.body) == list(BASE_FIELDS)
    check_base(plain.body)
    assert chosen.body["workflow_steps"]["steps"] == []
    assert chosen.body["workflow_steps"]["total_steps"] == 10
    assert chosen.body["logs"] == ""
    assert chosen.body["debug"]["worker_id"] == "w1"


async def test_a_pending_run_has_all_base_fields_and_unknown_figures_are_null(
    api: ApiHarness,
) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await stored_run(api.database)

    body = (await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)).body

    check_base(body)
    assert (body["status"], body["cost"], body["tokens"]) == ("pending", None, None)
    assert body["started_at"] == body["created_at"]
    assert body["elapsed_seconds"] == 0
    assert body["recent_steps"] == []


async def test_a_status_is_answered_again_only_after_a_change(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await example_run(api)
    url = f"{CONSOLE}/run/{run.run_id}/status"
    first = await api.get(url, token)
    known = {"If-None-Match": first.headers["ETag"]}

    same = await api.get(url, token, headers=known)
    other_fields = await api.get(f"{url}?enhanced=false", token, headers=known)
    async with api.database.sessions.begin() as session:
        await runs.change(session, run.run_id, attempt=1, now=NOW, turns=52)
    changed = await api.get(url, token, headers=known)

    assert (same.status, same.text) == (304, "")
    assert same.headers["ETag"] == first.headers["ETag"]
    assert other_fields.status == 200
    assert (changed.status, changed.body["turns"]) == (200, 52)


async def test_if_the_enrichment_fails_the_base_answer_carries_a_warning(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await example_run(api)
    url = f"{CONSOLE}/run/{run.run_id}/status"
    whole = await api.get(url, token)

    async with missing_table(api.database, "workflow_steps"):
        reply = await api.get(url, token)

    assert "warning" not in whole.body
    assert reply.status == 200
    check_base(reply.body)
    assert reply.body["warning"]
    assert reply.body["recent_steps"] == []
    assert "progress_summary" not in reply.body


async def test_an_estimated_end_has_its_spread(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    # Its start is fixed, so the runs before must have taken longer than until today.
    await completed_runs(api, days=(10_000, 12_000, 14_000))
    run = await running_run(api.database, workflow_name="implement")

    body = (await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)).body

    progress = body["progress_summary"]
    spread = progress["estimated_completion_spread"]
    assert spread["earliest"] < progress["estimated_completion"] < spread["latest"]
    assert spread["runs"] == 3


async def test_a_run_that_stopped_has_what_it_came_to(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await example_run(api)
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.MAX_TURNS,
            now=NOW + timedelta(seconds=90),
            result="Half of it is done.",
        )

    body = (await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)).body

    check_base(body)
    assert (body["status"], body["final_result"]) == ("failed", "Half of it is done.")
    assert body["workflow_summary"]["total_steps_completed"] == 2
    assert [step["success"] for step in body["step_by_step_results"][:4]] == [
        True,
        True,
        None,
        None,
    ]
    assert "workflow_steps" not in body
