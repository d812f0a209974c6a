"""The examples of the plan for the status: a running and a completed run, as it shows them."""

from __future__ import annotations

from datetime import timedelta

from core.domain.actor import Role
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
from core.store import steps
from core.store.runs import runs
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW
from tests.web.older_api import (
    PLAN,
    STEP_KEYS,
    check_base,
    check_like,
    completed_runs,
    edit,
    example_run,
)
from tests.web.older_examples import COMPLETED_EXAMPLE, RUNNING_EXAMPLE


async def test_a_running_run_is_answered_as_in_the_example(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    # For the estimate; the example is of long ago.
    await completed_runs(api, days=(10_000, 12_000, 14_000))
    run = await example_run(api)
    await edit(api, run)

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/status?include_steps=true", token)

    body = reply.body
    assert reply.status == 200
    check_base(body)
    check_like(body, RUNNING_EXAMPLE)
    assert (body["run_id"], body["status"]) == (RUNNING_EXAMPLE["run_id"], "running")
    plan = body["workflow_steps"]
    assert (plan["current_step"], plan["total_steps"], len(plan["steps"])) == (3, 10, 10)
    assert all(set(step) == STEP_KEYS for step in plan["steps"])
    assert plan["steps"][:2] == [{**step, "error": None} for step in PLAN["steps"][:2]]
    # The third is in progress: it took until now.
    assert plan["steps"][2] == {
        **PLAN["steps"][2],
        "duration_seconds": plan["steps"][2]["duration_seconds"],
        "error": None,
    }
    assert plan["steps"][2]["duration_seconds"] > PLAN["steps"][2]["duration_seconds"]
    progress, example = body["progress_summary"], RUNNING_EXAMPLE["progress_summary"]
    assert set(progress) == {*example, "estimated_completion_spread"}
    # The example counts the step in progress as done; here it is not yet.
    assert (progress["completion_percentage"], example["completion_percentage"]) == (20, 30)
    for name in ("current_phase", "recent_activity"):
        assert progress[name] == example[name]
    assert body["progress_indicator"] == "Turn 51, 22 tools used"
    assert (body["current_turns"], body["max_turns"], body["tokens"]) == (51, 60, 1234)
    assert (body["completed_at"], body["exit_code"], body["execution_time"]) == (None, None, None)
    assert body["recent_steps"] == [step["name"] for step in PLAN["steps"]]
    assert "final_result" not in body
    assert "warning" not in body


async def test_a_completed_run_is_answered_as_in_the_example(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await example_run(api)
    example = COMPLETED_EXAMPLE["workflow_summary"]
    first = COMPLETED_EXAMPLE["step_by_step_results"][0]
    deeds = "\n".join(f"- {one}" for one in example["major_achievements"])
    report = f"{COMPLETED_EXAMPLE['final_result']}\n\n### Achievements\n\n{deeds}"
    files = tuple(
        FileChange(path=f"{number}.py", added=9, removed=1)
        for number in range(example["files_modified"])
    )
    diff = DiffStat(files=files, commits=(CommitInfo(sha="a" * 40, subject="Add the endpoint"),))
    tests = {"passed": example["tests_passed"], "failed": 0, "skipped": 0, "command": "make test"}
    async with api.database.sessions.begin() as session:
        done = [
            Step(
                step_id=number,
                name=first["name"] if number == 1 else f"Step {number}",
                status=StepStatus.COMPLETED,
                started_at=NOW,
                completed_at=NOW + timedelta(seconds=first["duration_seconds"]),
                result=first["result"],
            )
            for number in range(1, example["total_steps_completed"] + 1)
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
            outcome=Outcome.CLEAN,
            metadata={"tests": tests},
        )

    body = (await api.get(f"{CONSOLE}/run/{run.run_id}/status?enhanced=true", token)).body

    check_base(body)
    check_like(body, COMPLETED_EXAMPLE)
    assert (body["run_id"], body["status"]) == (COMPLETED_EXAMPLE["run_id"], "completed")
    assert (body["exit_code"], body["execution_time"]) == (0, 90.5)
    assert (body["result"], body["final_result"]) == (report, report)
    assert (body["git_commits"], body["git_sha_end"]) == (["a" * 40], "a" * 40)
    assert body["workflow_summary"] == {**example, "tests_failed": 0}
    results = body["step_by_step_results"]
    assert len(results) == 10
    assert all(set(step) == STEP_KEYS | {"success"} for step in results)
    assert {name: results[0][name] for name in first} == first
    assert "progress_summary" not in body
    assert "workflow_steps" not in body
