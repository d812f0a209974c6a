"""A rescue that fails is neither repeated for ever nor does it prevent the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from core.domain.kills.termination import Phase, Termination
from core.domain.runs.run import Run, RunStatus, StopReason
from core.runner.recovery.clean_up import Cleaner
from core.runner.recovery.interrupted_kills import UNCONFIRMED_PATIENCE, InterruptedKills
from core.runner.recovery.lost_worker import GIVE_UP_AFTER
from core.runner.worker.worker_runtime import WorkerRuntime
from core.store import terminations
from core.store.fleet import attempts
from core.store.runs import runs
from tests.database import missing_table
from tests.inbox_harness import wait_until
from tests.rescue_harness import RescueHarness, record, rescue_harness

__all__ = ["rescue_harness"]

DEFECT = "never thought of"


async def request_kill(harness: RescueHarness, run: Run) -> Termination:
    kill = Termination(id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=harness.now)
    async with harness.database.sessions.begin() as session:
        await runs.request_kill(session, run.run_id, now=harness.now)
        return await terminations.open_or_join(session, kill)


async def test_a_lost_run_is_requeued_although_its_usage_cannot_be_counted(
    rescue_harness: RescueHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await rescue_harness.start_run()

    async with missing_table(rescue_harness.database, "transcript_entries"):
        (lost,) = await rescue_harness.check_twice()

    assert (lost.status, lost.attempt) == (RunStatus.PENDING, 2)
    assert "cannot be counted" in caplog.text


async def test_a_run_that_can_never_be_reassigned_ends_in_the_end(
    rescue_harness: RescueHarness,
) -> None:
    await rescue_harness.start_run()

    async with missing_table(rescue_harness.database, "run_events"):
        (before,) = await rescue_harness.check_twice()
        rescue_harness.now += GIVE_UP_AFTER
        (lost,) = await rescue_harness.rescue.rescue_lost_runs()

    assert before.status is RunStatus.RUNNING
    assert (lost.status, lost.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert lost.can_continue
    assert lost.run_id in (lost.error_message or "")


async def test_a_run_that_was_reassigned_at_last_is_not_given_up(
    rescue_harness: RescueHarness,
) -> None:
    await rescue_harness.start_run()
    async with missing_table(rescue_harness.database, "run_events"):
        await rescue_harness.check_twice()
    rescue_harness.now += GIVE_UP_AFTER

    (lost,) = await rescue_harness.rescue.rescue_lost_runs()

    assert lost.status is RunStatus.PENDING


async def test_a_killed_run_ends_although_its_steps_cannot_be_closed(
    rescue_harness: RescueHarness,
) -> None:
    run = await rescue_harness.start_run()

    async with missing_table(rescue_harness.database, "workflow_steps"):
        await rescue_harness.ledger.kills.finish_killed(run)

    ended = await rescue_harness.ledger.read_run(run.run_id)
    assert (ended.status, ended.stop_reason) == (RunStatus.KILLED, StopReason.KILLED)
    async with rescue_harness.database.sessions() as session:
        assert await attempts.live(session) == []


class FailingKills(InterruptedKills):
    async def _end_processes(self, run: Run, local_records: Any) -> Any:
        raise LookupError(DEFECT)


class FailingCleaner(Cleaner):
    async def remove_state_dirs(self, run: Run, attempts: Any) -> list[str]:
        raise LookupError(DEFECT)


async def requeued(harness: RescueHarness) -> Run:
    """A run that waits for its second attempt; this machine executed the first one."""
    run = await harness.start_run("there-1:deadbeef")
    return await harness.ledger.requeue(run, reason="its worker was shut down")


async def test_a_kill_that_can_never_be_finished_does_not_hold_its_session(
    rescue_harness: RescueHarness, caplog: pytest.LogCaptureFixture
) -> None:
    kills = rescue_harness.rescue.kills
    failing = FailingKills(kills.ledger, kills.cleaner)
    run = await requeued(rescue_harness)
    await request_kill(rescue_harness, run)

    await failing.finish_interrupted_kills()
    before = await rescue_harness.ledger.read_run(run.run_id)
    rescue_harness.now += 2 * UNCONFIRMED_PATIENCE
    failing._pauses.clear()
    await failing.finish_interrupted_kills()

    ended = await rescue_harness.ledger.read_run(run.run_id)
    assert before.status is RunStatus.PENDING
    assert (ended.status, ended.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    # Whether it is gone is still to be proven.
    assert await rescue_harness.ledger.kills.open_termination(run) is not None
    assert DEFECT in caplog.text


async def test_a_kill_is_confirmed_although_its_traces_cannot_be_removed(
    rescue_harness: RescueHarness, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kills = rescue_harness.rescue.kills
    failing = InterruptedKills(kills.ledger, FailingCleaner(tmp_path))
    run = await requeued(rescue_harness)
    await request_kill(rescue_harness, run)

    await failing.finish_interrupted_kills()

    assert (await rescue_harness.ledger.read_run(run.run_id)).status is RunStatus.KILLED
    assert DEFECT in caplog.text


@dataclass
class CountingKills(InterruptedKills):
    checks: list[str] = field(default_factory=list)

    async def finish_interrupted_kills(self) -> None:
        self.checks.append("kills")


async def test_a_step_of_the_rescue_that_fails_does_not_prevent_the_others(
    rescue_harness: RescueHarness, caplog: pytest.LogCaptureFixture
) -> None:
    kills = rescue_harness.rescue.kills
    counting = CountingKills(kills.ledger, kills.cleaner)
    identity: Any = SimpleNamespace(worker_id="there-1:0badcafe", node="there-1")
    unused: Any = None
    runtime = WorkerRuntime(
        identity=identity,
        record=unused,
        ledger=rescue_harness.ledger,
        kills=counting,
        workspaces=unused,
        lease=unused,
        inbox=unused,
        worker=unused,
        installation_id="",
        caretaker=unused,
    )

    async with missing_table(rescue_harness.database, "workflow_processes"):
        loop = asyncio.create_task(runtime._rescue_loop())
        await wait_until(lambda: bool(counting.checks))
        loop.cancel()
        await asyncio.wait({loop})

    assert "could not reassign runs of lost workers" in caplog.text


async def test_a_worker_stops_although_it_cannot_sign_off(
    rescue_harness: RescueHarness, caplog: pytest.LogCaptureFixture
) -> None:
    stopped: list[timedelta] = []

    async def stop(*, drain: timedelta) -> None:
        stopped.append(drain)

    worker: Any = SimpleNamespace(stop=stop)
    identity: Any = SimpleNamespace(worker_id="there-1:0badcafe", node="there-1")
    unused: Any = None
    runtime = WorkerRuntime(
        identity=identity,
        record=record(),
        ledger=rescue_harness.ledger,
        kills=rescue_harness.rescue.kills,
        workspaces=unused,
        lease=unused,
        inbox=unused,
        worker=worker,
        installation_id="",
        caretaker=unused,
    )

    async with missing_table(rescue_harness.database, "workers"):
        await runtime.stop(drain=timedelta(0))

    assert stopped == [timedelta(0)]
    assert "did not sign off" in caplog.text
