import asyncio
import re
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from core.agent.process.process_tree import find_run_processes
from core.domain.actor import Identity, Origin, Role
from core.domain.errors import BadRequest, Forbidden, OpsError
from core.domain.kills.termination import Phase
from core.domain.runs.errors import SessionBusy
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.services.runs.kill_requests import AlreadyEnded
from core.store import patches
from tests.core_harness import CoreHarness, core_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork

__all__ = ["core_harness"]

pytestmark = pytest.mark.sampled(8)


async def start_in_tool_call(core_harness: CoreHarness, task: str) -> Run:
    """Start a run and wait until its agent is inside the tool call of its scenario."""
    run = await core_harness.start(task, max_turns=MANY_TURNS)
    await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)
    return run


def kill_request(run: Run, **options: object) -> KillRequest:
    return KillRequest(target=run.run_id, **options)  # type: ignore[arg-type]


async def kill_and_wait(core_harness: CoreHarness, run: Run, **options: object) -> RunSnapshot:
    await core_harness.backend.runs.kill(kill_request(run, **options), by=core_harness.operator)
    return await core_harness.wait_until_ended(run, within=15)


async def test_a_run_works_commits_and_completes(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start("Add rate limiting to the API")
        seen = await core_harness.wait_until_ended(run)
    async with core_harness.backend.database.sessions() as session:
        patch = await patches.of_run(session, run.id)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.stop_reason is StopReason.SUCCESS
    assert seen.run.cost_source is CostSource.REPORTED
    assert seen.run.cost_usd
    assert seen.run.turns > 3
    assert seen.run.tool_calls > 3
    assert seen.run.diff is not None
    assert seen.run.diff.commits
    assert seen.run.diff.added_lines > 0
    assert patch is not None
    assert not patch.is_cut
    added = re.findall(r"^\+(?!\+\+ )", patch.text, re.MULTILINE)
    assert len(added) == seen.run.diff.added_lines
    assert seen.run.result
    assert "Summary" in seen.run.result
    assert {step.status for step in seen.steps} == {"completed"}


async def test_the_same_request_starts_once(core_harness: CoreHarness) -> None:
    first = await core_harness.start("Once", request_key="trigger-1")
    second = await core_harness.start("Once", request_key="trigger-1")

    assert second.run_id == first.run_id


@pytest.mark.parametrize("scenario", ["kill-me", "kill-stubborn", "kill-escaped", "kill-hostile"])
async def test_a_kill_during_a_tool_call_leaves_nothing_running(
    core_harness: CoreHarness, scenario: str
) -> None:
    async with core_harness.worker():
        run = await start_in_tool_call(core_harness, f"[scenario: {scenario}] work")
        seen = await kill_and_wait(core_harness, run, reason="enough")

    assert seen.run.status is RunStatus.KILLED
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert seen.termination.survivors == ()
    assert seen.termination.processes_seen > 0
    assert seen.termination.reason == "enough"
    assert seen.termination.elapsed is not None
    assert seen.termination.elapsed < timedelta(seconds=10)
    assert list(seen.termination.phases)[:2] == [Phase.REQUESTED, Phase.ACKNOWLEDGED]
    assert find_run_processes(run.run_id, None) == ()


async def test_force_skips_the_grace(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await start_in_tool_call(core_harness, "[scenario: kill-me] work")
        seen = await kill_and_wait(core_harness, run, force=True)

    assert seen.termination is not None
    assert Phase.INTERRUPTED not in seen.termination.phases
    assert seen.termination.phase is Phase.CONFIRMED


async def test_force_can_be_requested_while_a_kill_waits(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await start_in_tool_call(core_harness, "[scenario: kill-hostile] work")
        await core_harness.backend.runs.kill(kill_request(run), by=core_harness.operator)
        await core_harness.backend.runs.kill(
            kill_request(run, force=True), by=core_harness.operator
        )
        seen = await core_harness.wait_until_ended(run, within=15)

    assert seen.termination is not None
    assert seen.termination.force
    assert seen.termination.phase is Phase.CONFIRMED


async def test_a_pending_run_is_killed_at_once(core_harness: CoreHarness) -> None:
    run = await core_harness.start("Never begins")

    termination = await core_harness.backend.runs.kill(kill_request(run), by=core_harness.operator)

    assert termination.phase is Phase.CONFIRMED
    assert (await core_harness.read_run(run)).run.status is RunStatus.KILLED
    async with core_harness.worker() as runtime:
        assert runtime.worker.active_count == 0
    assert (await core_harness.read_run(run)).run.started_at is None


async def test_killing_twice_is_one_termination(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await start_in_tool_call(core_harness, "[scenario: kill-me] work")
        first = await core_harness.backend.runs.kill(kill_request(run), by=core_harness.operator)
        second = await core_harness.backend.runs.kill(kill_request(run), by=core_harness.operator)
        await core_harness.wait_until_ended(run, within=15)
        third = await core_harness.backend.runs.kill(kill_request(run), by=core_harness.operator)

    assert first.id == second.id == third.id


async def test_a_completed_run_cannot_be_killed(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start("[scenario: long] [turns: 2] quick")
        await core_harness.wait_until_ended(run)

        with pytest.raises(AlreadyEnded) as refused:
            await core_harness.backend.runs.kill(kill_request(run), by=core_harness.operator)

    assert "already ended" in refused.value.user_message


async def test_another_runner_may_not_kill_and_the_refusal_is_polite(
    core_harness: CoreHarness,
) -> None:
    bob = Identity(origin=Origin.SLACK, external_id="U2", team_id="T1", name="Bob")
    other = await core_harness.backend.people.ensure_actor(bob, role=Role.RUNNER)
    run = await core_harness.start("Mine")

    with pytest.raises(Forbidden) as refused:
        await core_harness.backend.runs.kill(kill_request(run), by=other)

    assert "operator" in refused.value.user_message
    assert (await core_harness.read_run(run)).run.is_live


async def test_the_turn_limit_is_continued_in_the_same_session(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start("[scenario: max-turns] [turns: 5] long work", max_turns=3)
        stopped = (await core_harness.wait_until_ended(run)).run
        continued = await core_harness.backend.runs.continue_run(
            ContinueRequest(target=run.run_id, request_key="click-1", additional_turns=20),
            by=core_harness.operator,
        )
        again = await core_harness.backend.runs.continue_run(
            ContinueRequest(target=run.run_id, request_key="click-2", additional_turns=20),
            by=core_harness.operator,
        )
        seen = await core_harness.wait_until_ended(continued.run)

    assert stopped.stop_reason is StopReason.MAX_TURNS
    assert stopped.status is RunStatus.FAILED
    assert stopped.can_continue
    assert (stopped.turns, stopped.max_turns) == (3, 3)
    assert again.run.run_id == continued.run.run_id
    assert not again.is_new
    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.session_id == run.session_id
    assert seen.run.workspace_path == stopped.workspace_path
    assert seen.run.parent_run_id == run.id
    assert seen.leg == 2
    assert seen.total is not None
    assert seen.total.cost_usd == (stopped.cost_usd or 0) + (seen.run.cost_usd or 0)


async def test_a_killed_run_can_be_continued(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await start_in_tool_call(core_harness, "[scenario: kill-me] work")
        await kill_and_wait(core_harness, run)
        continued = await core_harness.backend.runs.continue_run(
            ContinueRequest(
                target=run.run_id, request_key="c", message="[scenario: work] Do something else"
            ),
            by=core_harness.operator,
        )
        seen = await core_harness.wait_until_ended(continued.run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message


async def test_a_busy_session_names_its_live_run(core_harness: CoreHarness) -> None:
    run = await core_harness.start("First", session_name="auth")

    with pytest.raises(SessionBusy) as refused:
        await core_harness.start("Second", session_name="auth")
    with pytest.raises(SessionBusy):
        await core_harness.backend.runs.continue_run(
            ContinueRequest(target=run.run_id, request_key="c"), by=core_harness.operator
        )

    assert run.run_id in refused.value.user_message


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("crash", StopReason.AGENT_ERROR),
        ("no-result", StopReason.NO_RESULT),
        ("401", StopReason.API_ERROR),
        ("api-500", StopReason.API_ERROR),
        ("garbage", StopReason.API_ERROR),
    ],
)
async def test_each_failure_has_its_reason_and_a_message(
    core_harness: CoreHarness, scenario: str, reason: StopReason
) -> None:
    async with core_harness.worker():
        run = await core_harness.start(f"[scenario: {scenario}] [times: forever] work")
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.FAILED
    assert seen.run.stop_reason is reason
    assert seen.run.error_message
    assert find_run_processes(run.run_id, None) == ()


async def test_a_model_that_never_answers_ends_at_the_time_limit(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start("[scenario: hang] work", timeout=timedelta(seconds=10))
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.stop_reason is StopReason.TIMEOUT
    assert seen.run.can_continue
    assert find_run_processes(run.run_id, None) == ()


async def test_a_budget_stops_a_run(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start("[scenario: budget] work", budget_usd=Decimal("0.01"))
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.stop_reason is StopReason.BUDGET
    assert seen.run.cost_source is CostSource.REPORTED


async def test_a_directory_that_is_no_repository_is_reported(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    async with core_harness.worker():
        run = await core_harness.start("work", repo=str(tmp_path))
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.stop_reason is StopReason.WORKSPACE_ERROR
    assert seen.run.error_message


async def test_a_password_in_a_repository_address_is_refused(core_harness: CoreHarness) -> None:
    with pytest.raises(BadRequest) as refused:
        await core_harness.start("work", repo="https://me:hunter22@example.invalid/r.git")

    assert "hunter22" not in refused.value.user_message
    assert "hunter22" not in str(refused.value)


async def test_an_unknown_workflow_is_refused_with_the_nearest(core_harness: CoreHarness) -> None:
    with pytest.raises(OpsError) as refused:
        await core_harness.start("work", workflow="implemnt")

    assert "implement" in refused.value.user_message


async def test_a_stopping_worker_hands_its_run_over_to_another(
    core_harness: CoreHarness,
) -> None:
    lasting = LastingWork(core_harness.model)
    async with core_harness.worker():
        run = await start_in_tool_call(core_harness, LASTING)
    lasting.finish()
    run_with_workspace_on = (await core_harness.read_run(run)).run
    async with core_harness.worker():
        seen = await core_harness.wait_until_ended(run)

    assert run_with_workspace_on.status is RunStatus.PENDING
    assert run_with_workspace_on.attempt == 2
    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.session_id == run.session_id


async def test_a_run_whose_worker_process_ends_is_handed_over_and_not_ended(
    core_harness: CoreHarness,
) -> None:
    lasting = LastingWork(core_harness.model)
    async with core_harness.worker():
        run = await start_in_tool_call(core_harness, LASTING)
        # As the event loop does at its end with all tasks that a stop has left.
        (work,) = (one for one in asyncio.all_tasks() if one.get_name() == f"work {run.run_id}")
        work.cancel()
        lasting.finish()
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.attempt == 2


async def test_a_kill_at_the_start_takes_effect(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        for _ in range(5):
            run = await core_harness.start("[scenario: kill-me] work")
            await core_harness.wait_until(run, lambda seen: seen.run.status is RunStatus.RUNNING)
            seen = await kill_and_wait(core_harness, run)

            assert seen.run.status is RunStatus.KILLED
            assert seen.termination is not None
            assert seen.termination.phase is Phase.CONFIRMED
            assert find_run_processes(run.run_id, None) == ()


async def test_a_kill_at_the_end_is_concluded_in_any_case(
    core_harness: CoreHarness,
) -> None:
    async with core_harness.worker():
        run = await core_harness.start("[scenario: long] [turns: 2] quick")
        await core_harness.wait_until(
            run, lambda seen: seen.run.tool_calls >= 2 or not seen.run.is_live
        )
        with suppress(AlreadyEnded):
            await core_harness.backend.runs.kill(kill_request(run), by=core_harness.operator)
        await core_harness.wait_until_ended(run)
        seen = await core_harness.wait_until(
            run,
            lambda now: now.termination is None or now.termination.phase is Phase.CONFIRMED,
        )

    assert seen.run.status in (RunStatus.COMPLETED, RunStatus.KILLED)


async def test_output_that_postgres_cannot_store_fails_no_run(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start("Print \x00 and \ud83d alone")
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
