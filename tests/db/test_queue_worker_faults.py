"""A worker of the engine when something fails: connections, fetches, and the engine itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.queue import jobs
from core.store.database.engine import Database
from tests.fakes.queue import (
    RecordingHandler,
    abort_job,
    add_job,
    running_worker,
    wait_for_status,
    wait_until,
)

# A poll interval so long that only a notification can report a job.
NO_POLL = timedelta(minutes=10)


async def test_an_invalid_notification_is_harmless(database: Database) -> None:
    handler = RecordingHandler(ends_at_once=True)
    async with running_worker(database.dsn, handler, poll_interval=NO_POLL):
        async with database.sessions.begin() as session:
            for payload in ("", "{", "[]", "7", '{"type": 1}', '{"type": "abort_job_requested"}'):
                await session.execute(
                    text("SELECT pg_notify('procrastinate_queue_v1#runs', :payload)"),
                    {"payload": payload},
                )

        for number in range(4):
            await add_job(database.sessions, f"run_{number}")
            await wait_until(handler.has_logged("started", f"run_{number}"))
    assert len(handler.logged_runs("started")) == 4


async def test_a_job_notified_during_a_lost_connection_is_found(database: Database) -> None:
    handler = RecordingHandler(ends_at_once=True)
    async with running_worker(database.dsn, handler, poll_interval=NO_POLL) as worker:
        await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("ended", "run_a"))
        async with database.sessions.begin() as session:
            cut = await session.scalars(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = :name"
                ),
                {"name": f"signalbox {worker.name}"},
            )
            assert all(cut.all())
            await jobs.enqueue(session, run_id="run_b", attempt=1, session_id=uuid4())

        await wait_until(handler.has_logged("ended", "run_b"), within=30)


async def test_a_worker_deleted_as_dead_registers_again(database: Database) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler):
        held = await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))
        async with database.sessions.begin() as session:
            await session.execute(text("DELETE FROM procrastinate.procrastinate_workers"))

        await add_job(database.sessions, "run_b")
        await wait_until(handler.has_logged("started", "run_b"))

        async with database.sessions() as session:
            owners = await session.scalars(
                text("SELECT worker_id FROM procrastinate.procrastinate_jobs ORDER BY id")
            )
            both = owners.all()
        await abort_job(database.sessions, held)
        await wait_until(handler.has_logged("cancelled", "run_a"))

    assert both[0] is not None
    assert both[0] == both[1]


async def test_a_job_whose_fetch_lost_its_answer_is_executed(database: Database) -> None:
    handler = RecordingHandler(ends_at_once=True)
    async with running_worker(database.dsn, handler) as worker:
        async with database.sessions.begin() as session:
            await session.execute(
                text(
                    "WITH me AS (SELECT max(id) AS id FROM procrastinate.procrastinate_workers) "
                    "INSERT INTO procrastinate.procrastinate_jobs "
                    "(queue_name, task_name, args, status, worker_id) "
                    "SELECT 'runs', 'signalbox.run', "
                    '\'{"run_id": "run_lost", "attempt": 1}\', \'doing\', me.id FROM me'
                )
            )

        # The state that a failed fetch leaves behind.
        assert worker._connector is not None
        worker._connector._uncertain_until = asyncio.get_running_loop().time() + 60

        await wait_until(handler.has_logged("ended", "run_lost"))
        await add_job(database.sessions, "run_next")
        await wait_until(handler.has_logged("ended", "run_next"))
    assert handler.logged_runs("started") == ["run_lost", "run_next"]


async def test_an_inner_worker_that_ends_is_started_again(database: Database) -> None:
    handler = RecordingHandler(ends_at_once=True)
    async with running_worker(database.dsn, handler) as worker:
        assert worker._engine_worker is not None
        worker._engine_worker.stop_fetching()
        await wait_until(lambda: not worker.is_ready)
        await add_job(database.sessions, "run_a")

        await wait_until(handler.has_logged("ended", "run_a"))
        assert worker.is_ready


class BreaksOnce(set[int]):
    """The held jobs of a connector with a defect at the end of one fetch."""

    is_broken = True

    def add(self, job_id: int) -> None:
        if self.is_broken:
            self.is_broken = False
            raise LookupError("never thought of")
        super().add(job_id)


async def test_a_failed_fetch_neither_ends_the_worker_nor_hides_its_job(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler, slots=2) as worker:
        await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))
        assert worker._connector is not None
        worker._connector._held_job_ids = BreaksOnce(worker._connector._held_job_ids)

        lost = await add_job(database.sessions, "run_b")
        await wait_until(lambda: worker.problem is not None)
        was_ready = worker.is_ready
        # What could not be started is free for the rescue, while the others still run.
        await wait_for_status(database.sessions, lost, "failed")
        await add_job(database.sessions, "run_c")
        await wait_until(handler.has_logged("started", "run_c"))

        await wait_until(lambda: worker.is_ready)
        handler.release("run_a")
        handler.release("run_c")
        await wait_until(handler.has_logged("ended", "run_a"))
    assert not was_ready
    assert handler.logged_runs("started") == ["run_a", "run_c"]
    assert "never thought of" in caplog.text


async def test_a_worker_whose_engine_has_stopped_is_not_ready_while_its_jobs_end(
    database: Database,
) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler) as worker:
        await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))
        assert worker._engine_worker is not None

        worker._engine_worker.stop_fetching()
        is_ready, problem = worker.is_ready, worker.problem
        handler.release("run_a")

        await wait_until(lambda: worker.is_ready)
        assert worker.problem is None
    assert not is_ready
    assert "when the jobs in hand (1) have ended" in (problem or "")
