"""How a worker of the engine ends: it drains, cancels what is left, and unregisters."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import text

from core.queue.jobs import Job
from core.store.database.engine import Database
from tests.fakes.queue import (
    RecordingHandler,
    abort_job,
    add_job,
    running_worker,
    wait_for_status,
    wait_until,
)
from tests.limits import limit

# A poll interval so long that only a notification can report a job.
NO_POLL = timedelta(minutes=10)


async def test_a_draining_worker_finishes_its_jobs_and_fetches_no_more(database: Database) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler) as worker:
        job_id = await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))
        stopping = asyncio.create_task(worker.stop(drain=timedelta(seconds=30)))
        await wait_until(lambda: not worker.is_ready)
        late = await add_job(database.sessions, "run_b")

        handler.release("run_a")
        async with limit(10):
            await stopping

        await wait_for_status(database.sessions, job_id, "succeeded")
        await wait_for_status(database.sessions, late, "todo")
    assert handler.log == [("started", "run_a"), ("ended", "run_a")]


async def test_a_job_can_be_aborted_while_its_worker_drains(database: Database) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler, poll_interval=NO_POLL) as worker:
        job_id = await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))
        stopping = asyncio.create_task(worker.stop(drain=timedelta(seconds=30)))
        await wait_until(lambda: not worker.is_ready)

        await abort_job(database.sessions, job_id)
        await wait_until(handler.has_logged("cancelled", "run_a"))
        async with limit(10):
            await stopping

        await wait_for_status(database.sessions, job_id, "aborted")
    assert handler.log == [("started", "run_a"), ("cancelled", "run_a")]


async def test_handlers_are_cancelled_when_the_drain_time_is_over(database: Database) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler) as worker:
        job_id = await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))

        async with limit(10):
            await worker.stop(drain=timedelta(milliseconds=100))

        await wait_for_status(database.sessions, job_id, "aborted")
    assert handler.logged_runs("cancelled") == ["run_a"]


async def test_a_stop_does_not_interrupt_a_handler_that_is_ending(database: Database) -> None:
    cancellations: list[str] = []
    last_words = asyncio.Event()

    async def end_slowly(job: Job) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancellations.append("aborted")
            try:
                await last_words.wait()
            except asyncio.CancelledError:
                cancellations.append("interrupted")
                raise
            raise

    async with running_worker(database.dsn, end_slowly) as worker:
        job_id = await add_job(database.sessions, "run_a")
        await wait_until(lambda: worker.active_count == 1)
        await abort_job(database.sessions, job_id)
        await wait_until(lambda: cancellations == ["aborted"])
        stopping = asyncio.create_task(worker.stop(drain=timedelta(0)))
        await wait_until(lambda: worker._is_cancelling)

        last_words.set()
        await stopping

        await wait_for_status(database.sessions, job_id, "aborted")
    assert cancellations == ["aborted"]


async def test_a_handler_that_ignores_cancellation_is_abandoned(database: Database) -> None:
    freed = asyncio.Event()

    async def stubborn(job: Job) -> None:
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue

    async with running_worker(database.dsn, stubborn, cancel_limit=0.3) as worker:
        job_id = await add_job(database.sessions, "run_a")
        await wait_until(lambda: worker.active_count == 1)

        async with limit(10):
            await worker.stop(drain=timedelta(milliseconds=50))

        await wait_for_status(database.sessions, job_id, "doing")
        left = worker.active_count
        freed.set()
        await wait_until(lambda: worker.active_count == 0)
    assert left == 1


async def test_a_cancelled_worker_cancels_its_handlers(database: Database) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler) as worker:
        job_id = await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))
        [running] = [task for task in asyncio.all_tasks() if task.get_name() == worker.name]

        running.cancel()
        await wait_until(handler.has_logged("cancelled", "run_a"))

        await wait_for_status(database.sessions, job_id, "aborted")
    assert running.cancelled()
    assert handler.log == [("started", "run_a"), ("cancelled", "run_a")]


async def test_a_worker_unregisters_at_its_end(database: Database) -> None:
    async with running_worker(database.dsn, RecordingHandler()) as worker:
        await worker.stop(drain=timedelta(seconds=5))

        async with database.sessions() as session:
            left = await session.scalar(
                text("SELECT count(*) FROM procrastinate.procrastinate_workers")
            )
    assert left == 0
    assert not worker.is_ready
