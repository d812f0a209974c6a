"""Jobs that can no longer start their pending run: it gets another job, or comes to an end."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.domain.kills.termination import Phase, Termination
from core.domain.runs.run import Run, RunStatus, StopReason
from core.queue import jobs
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.recovery.lost_jobs import MAX_FAILED_STARTS, LostJobs
from core.runner.recovery.lost_worker import GIVE_UP_AFTER, RECHECK_AFTER
from core.services.context import ServiceContext
from core.services.fleet.dispatch import dispatch_run
from core.store import terminations
from core.store.database.engine import Database
from core.store.runs import run_queries, runs
from tests.database import (
    NOW,
    missing_table,
    new_session,
    stored_run,
    wait_for_blocked_session,
)
from tests.rescuer import job_rescuer

_TAKEN_BY_DEAD_WORKER = text("""
    WITH dead AS (
        INSERT INTO procrastinate.procrastinate_workers (last_heartbeat)
        VALUES (now() - interval '1 hour') RETURNING id
    )
    UPDATE procrastinate.procrastinate_jobs
    SET status = 'doing', worker_id = (SELECT id FROM dead) WHERE id = :job_id
""")
_STATUS = text("SELECT status FROM procrastinate.procrastinate_jobs WHERE id = :job_id")


class LostJobsHarness:
    """A replacement of lost jobs with a clock that the test moves."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now: datetime = NOW
        self.ledger = Ledger(
            ServiceContext(database, lambda: self.now), "there-1:0badcafe", "there"
        )
        self.replacing: LostJobs = job_rescuer(self.ledger)

    async def lost(self) -> Run:
        """A pending run whose job was taken by a worker that is dead."""
        run = await stored_run(self.database)
        async with self.database.sessions.begin() as session:
            run = await dispatch_run(session, run, now=self.now)
            await session.execute(_TAKEN_BY_DEAD_WORKER, {"job_id": run.job_id})
        return run

    async def failed(self) -> Run:
        """A pending run whose job has failed."""
        run = await stored_run(self.database)
        async with self.database.sessions.begin() as session:
            run = await dispatch_run(session, run, now=self.now)
        await self.fail_job(run)
        return run

    async def fail_job(self, run: Run) -> None:
        """Let a run's job end as the engine does after an error of its handler."""
        assert run.job_id is not None
        async with self.database.sessions.begin() as session:
            await jobs.finish_abandoned(session, run.job_id)

    async def replace_later(self) -> None:
        """Check twice, with a pause that is long enough after any number of failures."""
        await self.replacing.replace_lost_jobs()
        self.now += timedelta(minutes=2)
        await self.replacing.replace_lost_jobs()

    async def suspect(self) -> None:
        """Make the first check; the next one finds the workers dead."""
        await self.replacing.replace_lost_jobs()
        self.now += RECHECK_AFTER

    async def status(self, job_id: int | None) -> str | None:
        async with self.database.sessions() as session:
            status: str | None = await session.scalar(_STATUS, {"job_id": job_id})
        return status


@pytest.fixture
def lost_jobs(database: Database) -> LostJobsHarness:
    return LostJobsHarness(database)


async def test_a_run_whose_job_was_lost_gets_a_new_one(lost_jobs: LostJobsHarness) -> None:
    run = await lost_jobs.lost()

    await lost_jobs.suspect()
    await lost_jobs.replacing.replace_lost_jobs()

    present = await lost_jobs.ledger.read_run(run.run_id)
    assert (present.status, present.attempt) == (RunStatus.PENDING, 1)
    assert await lost_jobs.status(run.job_id) == "failed"
    assert await lost_jobs.status(present.job_id) == "todo"


async def test_a_rescue_that_is_interrupted_leaves_the_run_to_the_next_one(
    lost_jobs: LostJobsHarness,
) -> None:
    run = await lost_jobs.lost()
    await lost_jobs.suspect()

    async with lost_jobs.database.sessions.begin() as session:
        await run_queries.get_for_update(session, run.run_id)
        interrupted = asyncio.create_task(lost_jobs.replacing.replace_lost_jobs())
        await wait_for_blocked_session(session)
        interrupted.cancel()
        await asyncio.wait({interrupted})
    await lost_jobs.replacing.replace_lost_jobs()

    present = await lost_jobs.ledger.read_run(run.run_id)
    assert await lost_jobs.status(present.job_id) == "todo"


async def test_a_job_that_cannot_be_replaced_does_not_block_the_others(
    lost_jobs: LostJobsHarness, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingLostJobs(LostJobs):
        async def _replace_lost(self, job: jobs.Job) -> None:
            if job.run_id == bad.run_id:
                raise LookupError("never thought of")
            await super()._replace_lost(job)

    lost_jobs.replacing = FailingLostJobs(lost_jobs.ledger, lost_jobs.replacing.kills)
    bad, good = await lost_jobs.lost(), await lost_jobs.lost()

    await lost_jobs.suspect()
    await lost_jobs.replacing.replace_lost_jobs()

    present = await lost_jobs.ledger.read_run(good.run_id)
    assert await lost_jobs.status(present.job_id) == "todo"
    assert "never thought of" in caplog.text


async def test_a_lost_job_of_no_run_is_finished(
    lost_jobs: LostJobsHarness, caplog: pytest.LogCaptureFixture
) -> None:
    async with lost_jobs.database.sessions.begin() as session:
        unknown = await jobs.enqueue(
            session, run_id="run_unknown", attempt=1, session_id=new_session().id
        )
        await session.execute(_TAKEN_BY_DEAD_WORKER, {"job_id": unknown})

    await lost_jobs.suspect()
    await lost_jobs.replacing.replace_lost_jobs()

    assert await lost_jobs.status(unknown) == "failed"
    assert "run_unknown" in caplog.text


async def test_a_run_whose_job_failed_gets_a_new_one_after_a_pause(
    lost_jobs: LostJobsHarness,
) -> None:
    run = await lost_jobs.failed()

    await lost_jobs.replacing.replace_lost_jobs()
    waiting = await lost_jobs.ledger.read_run(run.run_id)
    await lost_jobs.replace_later()

    present = await lost_jobs.ledger.read_run(run.run_id)
    assert waiting.job_id == run.job_id
    assert (present.status, present.attempt) == (RunStatus.PENDING, 1)
    assert await lost_jobs.status(present.job_id) == "todo"


async def test_a_run_whose_job_was_deleted_gets_a_new_one(lost_jobs: LostJobsHarness) -> None:
    run = await lost_jobs.failed()
    async with lost_jobs.database.sessions.begin() as session:
        await session.execute(text("DELETE FROM procrastinate.procrastinate_jobs"))

    await lost_jobs.replace_later()

    present = await lost_jobs.ledger.read_run(run.run_id)
    assert await lost_jobs.status(present.job_id) == "todo"


async def test_a_run_whose_jobs_all_fail_fails_with_a_reason(lost_jobs: LostJobsHarness) -> None:
    run = await lost_jobs.failed()
    job_ids = {run.job_id}
    for _ in range(MAX_FAILED_STARTS - 1):
        await lost_jobs.replace_later()
        run = await lost_jobs.ledger.read_run(run.run_id)
        assert run.status is RunStatus.PENDING
        job_ids.add(run.job_id)
        await lost_jobs.fail_job(run)

    await lost_jobs.replacing.replace_lost_jobs()

    ended = await lost_jobs.ledger.read_run(run.run_id)
    assert len(job_ids) == MAX_FAILED_STARTS
    assert (ended.status, ended.stop_reason) == (RunStatus.FAILED, StopReason.SETUP_ERROR)
    assert run.run_id in (ended.error_message or "")


async def test_failed_starts_of_an_earlier_attempt_do_not_count(
    lost_jobs: LostJobsHarness,
) -> None:
    run = await lost_jobs.failed()
    await lost_jobs.replace_later()
    begun = await lost_jobs.ledger.begin(run.run_id, 1)
    assert begun is not None
    run = await lost_jobs.ledger.requeue(begun, reason="its worker was shut down")

    for _ in range(MAX_FAILED_STARTS - 1):
        await lost_jobs.fail_job(run)
        await lost_jobs.replace_later()
        run = await lost_jobs.ledger.read_run(run.run_id)

    assert (run.status, run.attempt) == (RunStatus.PENDING, 2)
    assert await lost_jobs.status(run.job_id) == "todo"


async def test_a_run_that_has_begun_keeps_its_ended_job(lost_jobs: LostJobsHarness) -> None:
    run = await lost_jobs.failed()
    await lost_jobs.replacing.replace_lost_jobs()
    await lost_jobs.ledger.begin(run.run_id, 1)

    await lost_jobs.replace_later()

    present = await lost_jobs.ledger.read_run(run.run_id)
    assert (present.status, present.job_id) == (RunStatus.RUNNING, run.job_id)


async def test_a_job_that_somebody_started_again_is_not_replaced(
    lost_jobs: LostJobsHarness,
) -> None:
    run = await lost_jobs.failed()
    await lost_jobs.replacing.replace_lost_jobs()
    async with lost_jobs.database.sessions.begin() as session:
        await session.execute(text("UPDATE procrastinate.procrastinate_jobs SET status = 'todo'"))

    await lost_jobs.replace_later()

    assert (await lost_jobs.ledger.read_run(run.run_id)).job_id == run.job_id


async def test_a_pending_run_whose_kill_is_confirmed_ends(lost_jobs: LostJobsHarness) -> None:
    run = await lost_jobs.failed()
    async with lost_jobs.database.sessions.begin() as session:
        await runs.request_kill(session, run.run_id, now=NOW)
        kill = Termination(id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=NOW)
        await terminations.open_or_join(session, kill)
    # The worker that confirms the kill dies before it ends the run.
    await lost_jobs.ledger.kills.record_phase(run, kill, Phase.CONFIRMED)

    await lost_jobs.replacing.replace_lost_jobs()

    assert (await lost_jobs.ledger.read_run(run.run_id)).status is RunStatus.KILLED


async def test_a_run_whose_failed_job_can_never_be_replaced_ends(
    lost_jobs: LostJobsHarness, caplog: pytest.LogCaptureFixture
) -> None:
    run = await lost_jobs.failed()

    async with missing_table(lost_jobs.database, "run_events"):
        await lost_jobs.replacing.replace_lost_jobs()
        before = await lost_jobs.ledger.read_run(run.run_id)
        lost_jobs.now += GIVE_UP_AFTER
        await lost_jobs.replacing.replace_lost_jobs()

    ended = await lost_jobs.ledger.read_run(run.run_id)
    assert before.status is RunStatus.PENDING
    assert (ended.status, ended.stop_reason) == (RunStatus.FAILED, StopReason.SETUP_ERROR)
    assert "cannot be replaced" in caplog.text
