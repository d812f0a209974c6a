"""Kills that reach their worker by its inbox, when something is in the way."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert

from bot.assembly.backend import utc_now
from core.agent.process.process_tree import find_run_processes
from core.domain.fleet.worker_message import WorkerMessageKind
from core.domain.kills.termination import DRAIN_LIMIT, Phase, Termination
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.runner.resilience import retry_while_unavailable
from core.store import terminations
from core.store.fleet import worker_messages
from core.store.runs import runs
from core.store.tables.fleet import WorkerMessageRow
from tests.core_harness import CoreHarness, core_harness
from tests.flows.test_fleet import Fleet, fleet
from tests.flows.test_fleet_lease import CuttableWorker, cuttable_worker, take_over
from tests.limits import limit
from tests.unit.process_trees import linux_only

__all__ = ["core_harness", "cuttable_worker", "fleet"]

pytestmark = [linux_only, pytest.mark.sampled(2)]

COMMIT = "[scenario: slow-commit] [pause: 30000] work"


async def kill(core_harness: CoreHarness, run: Run, *, force: bool = False) -> None:
    await core_harness.backend.runs.kill(
        KillRequest(target=run.run_id, force=force), by=core_harness.operator
    )


async def in_commit(core_harness: CoreHarness) -> Run:
    """A run whose agent is in a commit that a kill waits for."""
    run = await core_harness.start(COMMIT)
    return (await core_harness.wait_until(run, lambda now: now.run.tool_calls >= 2)).run


def check_killed(seen: RunSnapshot) -> Termination:
    assert (seen.run.status, seen.run.attempt) == (RunStatus.KILLED, 1)
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert find_run_processes(seen.run.run_id, None) == ()
    return seen.termination


async def test_a_kill_whose_notification_is_lost_comes_with_the_next_heartbeat(
    core_harness: CoreHarness,
) -> None:
    async with core_harness.worker() as runtime:
        run = await core_harness.start("[scenario: kill-me] work")
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)
        now = utc_now()
        async with core_harness.backend.database.sessions.begin() as session:
            await runs.request_kill(session, run.run_id, now=now)
            await terminations.open_or_join(
                session,
                Termination(id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=now),
            )
            # As `worker_messages.send` does, but for the notification.
            await session.execute(
                insert(WorkerMessageRow).values(
                    worker_id=runtime.identity.worker_id,
                    run_id=run.id,
                    attempt=1,
                    kind=WorkerMessageKind.KILL,
                    created_at=now,
                )
            )
        seen = await core_harness.wait_until_ended(run, within=20)

    check_killed(seen)


async def test_force_before_the_kill_is_acknowledged_asks_the_agent_nothing(
    cuttable_worker: CuttableWorker,
) -> None:
    core_harness = cuttable_worker.core_harness
    run = await in_commit(core_harness)

    cuttable_worker.line.cut()
    # The line can be cut in a transaction, whose locks Postgres holds for a while.
    await retry_while_unavailable(lambda: kill(core_harness, run))
    await retry_while_unavailable(lambda: kill(core_harness, run, force=True))
    cuttable_worker.line.restore()

    termination = check_killed(await core_harness.wait_until_ended(run, within=30))
    assert termination.force
    assert Phase.DRAINING not in termination.phases
    assert Phase.INTERRUPTED not in termination.phases


async def test_force_reaches_a_worker_that_drains(core_harness: CoreHarness) -> None:
    async with core_harness.worker() as runtime:
        run = await in_commit(core_harness)
        stopping = asyncio.create_task(runtime.stop(drain=timedelta(seconds=60)), name="stop")
        async with limit(20):
            while runtime.is_ready:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await kill(core_harness, run)
        await core_harness.wait_until(
            run,
            lambda now: now.termination is not None and Phase.DRAINING in now.termination.phases,
        )
        await kill(core_harness, run, force=True)
        seen = await core_harness.wait_until_ended(run, within=20)
        await stopping

    termination = check_killed(seen)
    (waited,) = termination.waited_for
    assert not waited.finished
    # It was ended by force, and not by the limit of the wait.
    assert waited.milliseconds < DRAIN_LIMIT.total_seconds() * 1000


@pytest.mark.slow
async def test_a_frozen_worker_hears_of_a_kill_when_it_thaws(fleet: Fleet) -> None:
    core_harness = fleet.core_harness
    async with fleet.worker() as worker:
        run = await core_harness.start("[scenario: kill-me] work")
        await fleet.wait_until_working(run, calls=1)
        worker.send(signal.SIGSTOP)
        try:
            await kill(core_harness, run)
            await kill(core_harness, run, force=True)
        finally:
            worker.send(signal.SIGCONT)
        seen = await core_harness.wait_until_ended(run, within=30)

    termination = check_killed(seen)
    assert termination.force
    assert Phase.INTERRUPTED not in termination.phases


@pytest.mark.slow
async def test_a_message_for_an_attempt_that_was_taken_over_kills_nothing(
    cuttable_worker: CuttableWorker,
) -> None:
    core_harness = cuttable_worker.core_harness
    database = core_harness.backend.database
    run = await cuttable_worker.start_in_tool_call()
    cuttable_worker.line.cut()
    # Until then a transaction that was cut off can hold locks.
    await cuttable_worker.wait_until_paused()
    async with database.sessions.begin() as session:
        await worker_messages.send(
            session,
            worker_id=cuttable_worker.runtime.identity.worker_id,
            run=run.id,
            attempt=1,
            kind=WorkerMessageKind.KILL,
            now=utc_now(),
        )
    await take_over(database, run)

    cuttable_worker.lasting.finish()
    cuttable_worker.line.restore()

    ended = (await core_harness.wait_until_ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
