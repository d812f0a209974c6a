"""The contract of the older API: its fields and types, and the examples of the plans for it.

The examples are those of the documents from which the project was created: the session that
reached its turn limit with work left, and the enriched status of a running and a completed run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from core.domain.actor import Role
from core.domain.runs.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.diff import CommitInfo, DiffStat, FileChange
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.request import Place
from core.domain.runs.run import CostSource, Run, StopReason, Usage
from core.domain.runs.session import MessageType
from core.domain.runs.step import Step, StepStatus
from core.store import audit, events, steps
from core.store.runs import run_queries, runs
from core.store.sessions import messages, sessions
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, missing_table, new_session, running_run, stored_run

SESSION = UUID("8b99235a-e9ee-447c-a529-ea6c13de5c3d")

# The older API's fields with the types of their values.
BASE: Mapping[str, tuple[type, ...]] = {
    "run_id": (str,),
    "status": (str,),
    "session_id": (str,),
    "workflow_name": (str,),
    "started_at": (str,),
    "updated_at": (str,),
    "completed_at": (str, NoneType),
    "execution_time": (float, int, NoneType),
    "result": (str, NoneType),
    "error": (str, NoneType),
    "exit_code": (int, NoneType),
    "git_commits": (list,),
    "git_sha_end": (str, NoneType),
    "cost": (float, NoneType),
    "tokens": (int, NoneType),
    "turns": (int,),
    "tool_calls": (int,),
    "tools_used": (list,),
    "progress_indicator": (str,),
    "last_activity": (str, NoneType),
    "recent_steps": (list,),
    "elapsed_seconds": (float, int),
    "current_turns": (int,),
    "max_turns": (int, NoneType),
    "logs": (str, NoneType),
}
STEP_KEYS = {
    "step_id",
    "name",
    "status",
    "started_at",
    "completed_at",
    "duration_seconds",
    "result",
    "tools_used",
    "tool_calls",
    "cost",
    "error",
}
BEGAN = datetime(2025, 6, 13, 20, 13, 49, tzinfo=UTC)
EXAMPLE_STEPS = (
    Step(
        step_id=1,
        name="Initial Analysis",
        status=StepStatus.COMPLETED,
        started_at=BEGAN,
        completed_at=BEGAN + timedelta(seconds=23),
        result="Analyzed codebase structure",
        tools_used=("Read", "Glob", "Grep"),
        tool_calls=5,
        cost_usd=Decimal("0.0245"),
    ),
    Step(
        step_id=2,
        name="Requirements Gathering",
        status=StepStatus.COMPLETED,
        started_at=BEGAN + timedelta(seconds=23),
        completed_at=BEGAN + timedelta(seconds=56),
        result="Identified key requirements",
        tools_used=("TodoWrite", "Read"),
        tool_calls=3,
        cost_usd=Decimal("0.0189"),
    ),
    Step(
        step_id=3,
        name="Implementation Phase",
        status=StepStatus.IN_PROGRESS,
        started_at=BEGAN + timedelta(seconds=56),
        tools_used=("Edit", "Write"),
        tool_calls=8,
        cost_usd=Decimal("0.0321"),
    ),
    *(Step(step_id=number, name=f"Step {number}") for number in range(4, 11)),
)


def check_base(body: Mapping[str, Any]) -> None:
    """The base fields are all there, with values of their types."""
    assert set(BASE) <= set(body)
    for name, types in BASE.items():
        assert type(body[name]) in types, (name, body[name])


async def example_run(api: ApiHarness) -> Run:
    """The running run of the plan's example, at turn 51 with 22 tools used."""
    run = await running_run(api.database, workflow_name="implement")
    async with api.database.sessions.begin() as session:
        await steps.replace(session, run.id, list(EXAMPLE_STEPS))
        return await runs.change(
            session,
            run.run_id,
            attempt=1,
            now=NOW,
            turns=51,
            tool_calls=22,
            max_turns=60,
            tools_used=("Bash", "Edit"),
            usage=Usage(input_tokens=1000, output_tokens=234),
            last_activity="Editing configuration files",
        )


async def edit(api: ApiHarness, run: Run) -> None:
    """The agent called a tool, and the model is asked for the next answer."""
    awaited = Awaited(kind=AwaitedKind.MODEL, since=NOW, heard_at=NOW)
    call = EventRecord(
        kind=EventKind.TOOL_STARTED,
        at=NOW,
        data={"name": "Edit", "summary": "configuration files"},
    )
    async with api.database.sessions.begin() as session:
        await events.append(session, run.id, 1, [call])
        metadata = {AWAITED_KEY: awaited.to_json()}
        await runs.change(session, run.run_id, attempt=1, now=NOW, metadata=metadata)


async def test_a_running_run_has_the_steps_and_the_progress_of_the_plan(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await example_run(api)
    await edit(api, run)

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)

    body = reply.body
    assert reply.status == 200
    check_base(body)
    assert body["progress_indicator"] == "Turn 51, 22 tools used"
    assert (body["current_turns"], body["max_turns"], body["tokens"]) == (51, 60, 1234)
    assert (body["completed_at"], body["exit_code"], body["execution_time"]) == (None, None, None)
    assert body["recent_steps"] == [
        "Initial Analysis",
        "Requirements Gathering",
        "Implementation Phase",
    ]
    plan = body["workflow_steps"]
    assert (plan["current_step"], plan["total_steps"], len(plan["steps"])) == (3, 10, 10)
    assert all(set(step) == STEP_KEYS for step in plan["steps"])
    assert plan["steps"][0] == {
        "step_id": 1,
        "name": "Initial Analysis",
        "status": "completed",
        "started_at": "2025-06-13T20:13:49Z",
        "completed_at": "2025-06-13T20:14:12Z",
        "duration_seconds": 23,
        "result": "Analyzed codebase structure",
        "tools_used": ["Read", "Glob", "Grep"],
        "tool_calls": 5,
        "cost": 0.0245,
        "error": None,
    }
    assert plan["steps"][2]["completed_at"] is None
    assert plan["steps"][2]["duration_seconds"] > 0
    progress = body["progress_summary"]
    assert set(progress) == {
        "completion_percentage",
        "estimated_completion",
        "estimated_completion_spread",
        "current_phase",
        "recent_activity",
    }
    assert progress["completion_percentage"] == 20
    assert progress["current_phase"] == "Implementation Phase"
    assert progress["recent_activity"] == "Editing configuration files"
    assert "final_result" not in body
    assert "warning" not in body


async def test_a_completed_run_has_the_result_and_the_summary_of_the_plan(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await example_run(api)
    report = "## **Workflow Orchestration Complete - Summary Report**\n\n- **Total Steps**: 10/10"
    diff = DiffStat(
        files=tuple(FileChange(path=f"{number}.py", added=9, removed=1) for number in range(5)),
        commits=(CommitInfo(sha="a" * 40, subject="Add the endpoint"),),
    )
    async with api.database.sessions.begin() as session:
        done = [
            Step(
                step_id=number,
                name=f"Step {number}",
                status=StepStatus.COMPLETED,
                started_at=BEGAN,
                completed_at=BEGAN + timedelta(seconds=23),
            )
            for number in range(1, 11)
        ]
        await steps.replace(session, run.id, done)
        await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.SUCCESS,
            now=NOW + timedelta(seconds=90.5),
            result=report,
            diff=diff,
            final_commit_hash="a" * 40,
            metadata={"tests": {"passed": 12, "failed": 0, "skipped": 0, "command": "make test"}},
        )

    body = (await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)).body

    check_base(body)
    assert (body["status"], body["exit_code"], body["execution_time"]) == ("completed", 0, 90.5)
    assert (body["result"], body["final_result"]) == (report, report)
    assert (body["git_commits"], body["git_sha_end"]) == (["a" * 40], "a" * 40)
    summary = body["workflow_summary"]
    assert set(summary) == {
        "total_steps_completed",
        "success_rate",
        "major_achievements",
        "files_modified",
        "tests_passed",
        "tests_failed",
        "deployment_ready",
    }
    assert summary["total_steps_completed"] == 10
    assert summary["files_modified"] == 5
    assert (summary["tests_passed"], summary["tests_failed"]) == (12, 0)
    assert summary["success_rate"] == 100
    results = body["step_by_step_results"]
    assert len(results) == 10
    assert set(results[0]) == STEP_KEYS | {"success"}
    assert (results[0]["duration_seconds"], results[0]["success"]) == (23, True)
    assert "progress_summary" not in body
    assert "workflow_steps" not in body


async def test_an_older_client_gets_the_base_fields_and_nothing_else(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await example_run(api)

    options = {"enhanced": "false", "unknown_to_us": "1"}
    plain = await api.get(f"{CONSOLE}/run/{run.run_id}/status", token, params=options)
    options = {"include_steps": "false", "include_logs": "true", "debug": "true"}
    chosen = await api.get(f"{CONSOLE}/run/{run.run_id}/status", token, params=options)

    assert list(plain.body) == list(BASE)
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
    for days in (10_000, 12_000, 14_000):
        past = await running_run(api.database, workflow_name="implement")
        ended = NOW + timedelta(days=days)
        async with api.database.sessions.begin() as session:
            await runs.finish(
                session, past.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=ended
            )
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


async def limited_run(api: ApiHarness, owner: UUID | None) -> Run:
    """The session of the case: $1.4468734, 30 of 30 turns, `error_max_turns`, work left."""
    conversation = new_session(id=SESSION, user_id=owner)
    async with api.database.sessions.begin() as session:
        await sessions.add(session, conversation)
    run = await running_run(
        api.database,
        session_id=SESSION,
        user_id=owner,
        workflow_name="implement",
        task_input="Clean up",
        max_turns=30,
        slack_team_id=None,
        slack_channel_id=None,
    )
    async with api.database.sessions.begin() as session:
        return await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.MAX_TURNS,
            now=NOW + timedelta(minutes=9),
            turns=30,
            cost_usd=Decimal("1.4468734"),
            cost_source=CostSource.REPORTED,
        )


async def test_the_case_of_the_session_at_its_turn_limit(api: ApiHarness) -> None:
    token = await api.token(role=Role.OPERATOR)
    before = await limited_run(api, None)
    api.place.append(Place(team_id="T1", channel_id="C1"))
    status = (await api.get(f"{CONSOLE}/run/{before.run_id}/status", token)).body
    body = json.loads(
        """
        {
            "session_id": "8b99235a-e9ee-447c-a529-ea6c13de5c3d",
            "additional_turns": 20,
            "message": "Continue the cleanup task from where you left off"
        }
        """
    )

    reply = await api.post(f"{CONSOLE}/run/implement/continue", token, body)

    assert (status["cost"], status["turns"], status["max_turns"]) == (1.4468734, 30, 30)
    assert (status["status"], status["stop_reason"]) == ("failed", "max_turns")
    assert status["can_continue"] is True
    assert status["exit_code"] == 1
    assert reply.status == 200, reply.text
    answer = reply.body
    assert {
        "run_id",
        "status",
        "message",
        "session_id",
        "workflow_name",
        "started_at",
    } <= set(answer)
    assert (answer["session_id"], answer["status"]) == (str(SESSION), "pending")
    assert answer["continued_run_id"] == before.run_id
    assert "20 turns" in answer["message"]
    async with api.database.sessions() as session:
        run = await run_queries.get(session, answer["run_id"])
        said = await messages.of_run(session, run.id)
        trail = await audit.recent(session, 1)
    assert (run.parent_run_id, run.max_turns, run.session_id) == (before.id, 20, SESSION)
    assert (run.slack_team_id, run.slack_channel_id) == ("T1", "C1")
    assert [(one.message_type, one.text_content) for one in said] == [
        (MessageType.INTERVENTION, "Continue the cleanup task from where you left off")
    ]
    assert (trail[0].action, trail[0].actor.origin, trail[0].actor.name) == (
        "continue",
        "api",
        "ci",
    )


async def test_a_live_session_is_not_continued_and_the_answer_names_its_run(
    api: ApiHarness,
) -> None:
    token = await api.token(role=Role.OPERATOR)
    await limited_run(api, None)
    body = {"session_id": str(SESSION), "additional_turns": 20, "message": "Go on"}
    first = await api.post(f"{CONSOLE}/run/implement/continue", token, body)

    again = await api.post(f"{CONSOLE}/run/implement/continue", token, body)
    other = await api.post(f"{CONSOLE}/run/fix/continue", token, body)
    unknown = await api.post(f"{CONSOLE}/run/nonsense/continue", token, body)

    assert (again.status, again.error) == (409, "session_busy")
    assert again.body["details"] == {"live_run_id": first.body["run_id"]}
    assert other.status == 409
    assert unknown.status == 409


async def test_a_repeated_request_with_a_key_starts_one_run(api: ApiHarness) -> None:
    token = await api.token(role=Role.RUNNER)
    other = await api.token("other", Role.RUNNER)
    path = f"{CONSOLE}/run/builder"
    body = {"message": "Add rate limiting\nto the API", "user_id": 7, "persistent": True}
    key = {"Idempotency-Key": "build-1"}

    first = await api.post(path, token, body, headers=key)
    second = await api.post(path, token, body, headers=key)
    others = await api.post(path, other, body, headers=key)
    unkeyed = await api.post(path, token, body)
    wrong = await api.post(path, token, body, headers={"Idempotency-Key": "x" * 129})
    reused = await api.post(path, token, {"message": "Another task"}, headers=key)

    assert first.status == second.status == 200
    assert first.body["run_id"] == second.body["run_id"]
    assert (first.body["is_new"], second.body["is_new"]) == (True, False)
    assert len({one.body["run_id"] for one in (first, others, unkeyed)}) == 3
    assert (wrong.status, wrong.error) == (400, "invalid_request")
    assert (reused.status, reused.error) == (409, "idempotency_key_reused")
    assert reused.body["details"] == {"run_id": first.body["run_id"]}
    async with api.database.sessions() as session:
        run = await run_queries.get(session, first.body["run_id"])
    assert run.task_input == "Add rate limiting\nto the API"
    assert run.metadata == {"requested_for": "7"}
    assert run.slack_channel_id is None


async def test_every_value_of_a_start_reaches_the_run(api: ApiHarness) -> None:
    token = await api.token(role=Role.RUNNER)
    body = {
        "message": "Do it",
        "session_name": "auth",
        "repository_url": "/srv/git/api",
        "git_branch": "main",
        "max_turns": 12,
        "timeout": 600,
        "model": "sonnet",
        "budget_usd": 1.5,
    }

    reply = await api.post(f"{CONSOLE}/run/fix", token, body)
    session_id = reply.body["session_id"]
    busy = await api.post(
        f"{CONSOLE}/run/fix", token, {"message": "More", "session_id": session_id}
    )

    async with api.database.sessions() as session:
        run = await run_queries.get(session, reply.body["run_id"])
    assert (run.session_name, run.git_repo, run.git_branch) == ("auth", "/srv/git/api", "main")
    assert (run.max_turns, run.timeout, run.ai_model) == (12, timedelta(minutes=10), "sonnet")
    assert run.budget_usd == Decimal("1.5")
    assert run.user_id is not None
    assert (busy.status, busy.error) == (409, "session_busy")
