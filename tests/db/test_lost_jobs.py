"""Jobs whose worker died before their run began: the run gets another job, and never none."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from sqlalchemy import text

from core.domain.runs.run import Run, RunStatus
from core.queue import jobs
from core.runner.execution.ledger import Ledger
from core.runner.recovery.rescue import RECHECK_AFTER
from core.services.context import ServiceContext
from core.services.fleet.dispatch import dispatch_run
from core.store.database.engine import Database
from core.store.runs import run_queries
from tests.database import NOW, new_session, stored_run, wait_for_blocked_session
from tests.rescuer import rescuer

_TAKEN_BY_DEAD_WORKER = text("""
    WITH dead AS (
        INSERT INTO procrastinate.procrastinate_workers (last_heartbeat)
        VALUES (now() - interval '1 hour') RETURNING id
    )
    UPDATE procrastinate.procrastinate_jobs
    SET status = 'doing', worker_id = (SELECT id FROM dead) WHERE id = :job_id
""")
_STATUS = text("SELECT status FROM procrastinate.procrastinate_jobs WHERE id = :job_id")


class LostJobs:
    """A rescue service with a clock that the test moves."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now: datetime = NOW
        self.ledger = Ledger(
            ServiceContext(database, lambda: self.now), "there-1:0badcafe", "there"
        )
        self.rescue = rescuer(self.ledger)

    async def lost(self) -> Run:
        """A pending run whose job was taken by a worker that is dead."""
        run = await stored_run(self.database)
        async with self.database.sessions.begin() as session:
            run = await dispatch_run(session, run, now=self.now)
            await session.execute(_TAKEN_BY_DEAD_WORKER, {"job_id": run.job_id})
        return run

    async def suspect(self) -> None:
        """Make the first check; the next one finds the workers dead."""
        await self.rescue.rescue_lost_runs()
        self.now += RECHECK_AFTER

    async def status(self, job_id: int | None) -> str | None:
        async with self.database.sessions() as session:
            status: str | None = await session.scalar(_STATUS, {"job_id": job_id})
        return status


@pytest.fixture
def lost_jobs(database: Database) -> LostJobs:
    return LostJobs(database)


async def test_a_run_whose_job_was_lost_gets_a_new_one(lost_jobs: LostJobs) -> None:
    run = await lost_jobs.lost()

    await lost_jobs.suspect()
    await lost_jobs.rescue.rescue_lost_runs()

    present = await lost_jobs.ledger.read_run(run.run_id)
    assert (present.status, present.attempt) == (RunStatus.PENDING, 1)
    assert await lost_jobs.status(run.job_id) == "failed"
    assert await lost_jobs.status(present.job_id) == "todo"


async def test_a_rescue_that_is_interrupted_leaves_the_run_to_the_next_one(
    lost_jobs: LostJobs,
) -> None:
    run = await lost_jobs.lost()
    await lost_jobs.suspect()

    async with lost_jobs.database.sessions.begin() as session:
        await run_queries.get_for_update(session, run.run_id)
        interrupted = asyncio.create_task(lost_jobs.rescue.rescue_lost_runs())
        await wait_for_blocked_session(session)
        interrupted.cancel()
        await asyncio.wait({interrupted})
    await lost_jobs.rescue.rescue_lost_runs()

    present = await lost_jobs.ledger.read_run(run.run_id)
    assert await lost_jobs.status(present.job_id) == "todo"


async def test_a_job_that_cannot_be_rescued_does_not_block_the_others(
    lost_jobs: LostJobs, caplog: pytest.LogCaptureFixture
) -> None:
    async with lost_jobs.database.sessions.begin() as session:
        unknown = await jobs.enqueue(
            session, run_id="run_unknown", attempt=1, session_id=new_session().id
        )
        await session.execute(_TAKEN_BY_DEAD_WORKER, {"job_id": unknown})
    run = await lost_jobs.lost()

    await lost_jobs.suspect()
    await lost_jobs.rescue.rescue_lost_runs()

    present = await lost_jobs.ledger.read_run(run.run_id)
    assert await lost_jobs.status(present.job_id) == "todo"
    assert "run_unknown" in caplog.text
