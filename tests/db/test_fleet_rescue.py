"""Rescue of runs whose worker is silent: checked twice, resumed or failed, and counted."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_policy import DEFAULT_POLICY
from core.domain.fleet.attempt import HEARTBEAT_INTERVAL, STALLED_AFTER
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.workflow import OnWorkerLost
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.recovery.lost_worker import RECHECK_AFTER
from core.runner.recovery.rescue import Rescue
from core.store import steps
from core.store.fleet import attempts
from core.store.runs import runs
from core.store.sessions.transcripts import Transcripts
from tests.database import NOW
from tests.rescue_harness import RescueHarness, rescue_harness

MAX_LOSSES = DEFAULT_POLICY.rule(FailureClass.WORKER_LOST).attempts + 1


__all__ = ["rescue_harness"]


async def test_a_run_of_a_silent_worker_continues_as_its_next_attempt(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()

    (lost,) = await rescue_harness.check_twice()

    assert (lost.run_id, lost.status, lost.attempt) == (run.run_id, RunStatus.PENDING, 2)
    assert lost.job_id is not None
    (event_data,) = await rescue_harness.event_data(run, EventKind.WORKER_LOST)
    assert (event_data["node"], event_data["times"], event_data["resumes"]) == ("here-1", 1, True)
    assert await rescue_harness.beat() == frozenset()


async def test_one_heartbeat_between_the_checks_is_enough(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run()
    rescue_harness.now += STALLED_AFTER + timedelta(seconds=1)
    assert await rescue_harness.rescue.rescue_lost_runs() == []

    assert await rescue_harness.beat() == {(run.id, 1)}
    rescue_harness.now += RECHECK_AFTER

    assert await rescue_harness.rescue.rescue_lost_runs() == []


async def test_a_worker_whose_clock_is_behind_does_not_count_as_dead(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    behind = timedelta(minutes=5)
    rescue_harness.now += behind
    for _ in range(8):
        rescue_harness.now += HEARTBEAT_INTERVAL
        async with rescue_harness.database.sessions.begin() as session:
            await attempts.renew_heartbeats(
                session, "here-1:deadbeef", now=rescue_harness.now - behind
            )
        assert await rescue_harness.rescue.rescue_lost_runs() == []

    assert (await rescue_harness.ledger.read_run(run.run_id)).attempt == 1


async def test_a_heartbeat_at_the_last_moment_keeps_the_run(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    async with rescue_harness.database.sessions() as session:
        (process,) = await attempts.of_run(session, run.id)
    rescue_harness.now += STALLED_AFTER
    await rescue_harness.beat()

    async with rescue_harness.database.sessions.begin() as session:
        given_up = await attempts.end_if_silent(
            session, run.id, 1, last_heartbeat_at=process.heartbeat_at, now=rescue_harness.now
        )

    assert not given_up
    assert await rescue_harness.beat() == {(run.id, 1)}


async def test_a_workflow_may_fail_when_its_worker_is_lost(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run(on_worker_lost=OnWorkerLost.FAIL)
    plan = [
        Step(step_id=1, name="Look", status=StepStatus.COMPLETED),
        Step(step_id=2, name="Write", status=StepStatus.IN_PROGRESS, started_at=NOW),
        Step(step_id=3, name="Test"),
    ]
    async with rescue_harness.database.sessions.begin() as session:
        await steps.replace(session, run.id, plan)

    (lost,) = await rescue_harness.check_twice()

    assert (lost.status, lost.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert lost.can_continue
    assert "here-1" in (lost.error_message or "")
    assert "continue" in (lost.error_message or "")
    (event_data,) = await rescue_harness.event_data(run, EventKind.WORKER_LOST)
    assert event_data["resumes"] is False
    async with rescue_harness.database.sessions() as session:
        left = await steps.of_run(session, run.id)
    # No step or attempt is left in progress.
    assert [step.status for step in left] == [
        StepStatus.COMPLETED,
        StepStatus.PENDING,
        StepStatus.PENDING,
    ]
    assert [step.is_interrupted for step in left] == [False, True, False]
    assert len(await rescue_harness.event_data(run, EventKind.RUN_ENDED)) == 1


async def test_a_run_that_loses_every_worker_fails_in_the_end(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()
    for _ in range(MAX_LOSSES - 1):
        (lost,) = await rescue_harness.check_twice()
        assert lost.status is RunStatus.PENDING
        await rescue_harness.begin(lost)

    (lost,) = await rescue_harness.check_twice()

    assert (lost.status, lost.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert len(await rescue_harness.event_data(run, EventKind.WORKER_LOST)) == MAX_LOSSES


async def test_worker_restarts_do_not_count_as_losses(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run()
    for _ in range(MAX_LOSSES + 1):
        run = await rescue_harness.begin(
            await rescue_harness.ledger.requeue(run, reason="its worker was shut down")
        )

    (lost,) = await rescue_harness.check_twice()

    assert lost.status is RunStatus.PENDING


async def test_later_output_of_a_lost_agent_is_not_stored(rescue_harness: RescueHarness) -> None:
    run = await rescue_harness.start_run()
    key = {"project_key": "p", "session_id": str(run.session_id)}
    store = Transcripts(rescue_harness.database)
    zombie, successor = store.for_attempt(run.run_id, 1), store.for_attempt(run.run_id, 2)
    await zombie.append(key, [{"uuid": "a", "says": "before"}])
    await rescue_harness.check_twice()

    await zombie.append(key, [{"uuid": "b", "says": "too late"}])
    await successor.append(key, [{"uuid": "c", "says": "after"}])

    assert [entry["says"] for entry in await store.load(key) or []] == ["before", "after"]


async def test_a_run_that_cannot_be_reassigned_does_not_block_the_others(
    rescue_harness: RescueHarness, caplog: pytest.LogCaptureFixture
) -> None:
    is_mended = asyncio.Event()

    class FailingKills(InterruptedKills):
        async def finish_kill(self, run: Run, *, is_job_held: bool = False) -> Run:
            if not is_mended.is_set():
                raise RuntimeError("never thought of")
            return await super().finish_kill(run, is_job_held=is_job_held)

    kills = rescue_harness.rescue.kills
    failing = FailingKills(kills.ledger, kills.cleaner)
    rescue_harness.rescue = Rescue(rescue_harness.ledger, failing)
    bad, good = await rescue_harness.start_run(), await rescue_harness.start_run()
    async with rescue_harness.database.sessions.begin() as session:
        await runs.request_kill(session, bad.run_id, now=NOW)

    lost = await rescue_harness.check_twice()

    assert {run.run_id: run.status for run in lost} == {
        bad.run_id: RunStatus.RUNNING,
        good.run_id: RunStatus.PENDING,
    }
    assert "never thought of" in caplog.text
    is_mended.set()
    # Each later check tries it again.
    assert [run.run_id for run in await rescue_harness.rescue.rescue_lost_runs()] == [bad.run_id]
