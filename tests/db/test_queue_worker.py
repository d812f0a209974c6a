"""A worker of the engine: jobs in their order, each once, and aborts."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from uuid import uuid4

import pytest

from core.queue.jobs import Job
from core.store.database.engine import Database
from tests.fakes.queue import (
    RecordingHandler,
    abort_job,
    add_job,
    running_worker,
    wait_for_status,
    wait_until,
    wait_until_no_live_jobs,
)

# A poll interval so long that only a notification can report a job.
NO_POLL = timedelta(minutes=10)


async def test_an_abort_reaches_a_handler_in_another_worker(database: Database) -> None:
    first, second = RecordingHandler(), RecordingHandler()
    async with (
        running_worker(database.dsn, first, slots=1, poll_interval=NO_POLL),
        running_worker(database.dsn, second, slots=1, poll_interval=NO_POLL),
    ):
        ids = {run_id: await add_job(database.sessions, run_id) for run_id in ("run_a", "run_b")}
        await wait_until(lambda: len(first.log) + len(second.log) == 2)
        [run_id] = second.logged_runs("started")

        await abort_job(database.sessions, ids[run_id])
        await wait_until(second.has_logged("cancelled", run_id))

        await wait_for_status(database.sessions, ids[run_id], "aborted")
    assert len(first.logged_runs("started")) == 1


async def test_a_handler_is_cancelled_once_for_several_aborts(
    database: Database,
) -> None:
    cancellations = 0

    async def last_words(job: Job) -> None:
        nonlocal cancellations
        for _ in range(50):
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                cancellations += 1

    async with running_worker(database.dsn, last_words) as worker:
        job_id = await add_job(database.sessions, "run_a")
        await wait_until(lambda: worker.active_count == 1)
        for _ in range(5):
            await abort_job(database.sessions, job_id)
        # The poll for jobs to abort finds it twice more.
        await wait_for_status(database.sessions, job_id, "succeeded")

    assert cancellations == 1


async def test_an_immediate_abort_never_loses_a_job(database: Database) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler, slots=50):
        for number in range(40):
            await abort_job(database.sessions, await add_job(database.sessions, f"run_{number}"))

        await wait_until_no_live_jobs(database.sessions)

    assert sorted(handler.logged_runs("cancelled")) == sorted(handler.logged_runs("started"))


async def test_a_failing_handler_is_logged_and_never_called_again(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Job] = []

    async def fail(job: Job) -> None:
        calls.append(job)
        raise LookupError("no such thing")

    async with running_worker(database.dsn, fail) as worker:
        with caplog.at_level(logging.ERROR):
            job_id = await add_job(database.sessions, "run_a")
            await wait_for_status(database.sessions, job_id, "failed")
        await add_job(database.sessions, "run_b")
        await wait_until(lambda: len(calls) == 2)
        assert worker.is_ready

    assert [job.run_id for job in calls] == ["run_a", "run_b"]
    assert "run_a" in caplog.text
    assert "no such thing" in caplog.text


async def test_jobs_of_a_session_never_overlap_and_follow_at_once(database: Database) -> None:
    running = 0
    overlaps = 0
    order: list[str] = []

    async def brief(job: Job) -> None:
        nonlocal running, overlaps
        running += 1
        overlaps += running > 1
        order.append(job.run_id)
        await asyncio.sleep(0.02)
        running -= 1

    session_id = uuid4()
    wanted = [f"run_{number}" for number in range(12)]
    async with (
        running_worker(database.dsn, brief, slots=3, poll_interval=NO_POLL),
        running_worker(database.dsn, brief, slots=3, poll_interval=NO_POLL),
    ):
        for run_id in wanted:
            await add_job(database.sessions, run_id, session_id=session_id)
        await wait_until(lambda: len(order) == 12 and running == 0)

    assert overlaps == 0
    assert order == wanted


async def test_the_higher_priority_starts_first(database: Database) -> None:
    handler = RecordingHandler(ends_at_once=True)
    for run_id, priority in (("run_low", -5), ("run_old", 0), ("run_new", 0), ("run_high", 5)):
        await add_job(database.sessions, run_id, priority=priority)

    async with running_worker(database.dsn, handler, slots=1):
        await wait_until(lambda: len(handler.logged_runs("ended")) == 4)

    assert handler.logged_runs("started") == ["run_high", "run_old", "run_new", "run_low"]


async def test_no_more_jobs_run_than_there_are_slots(database: Database) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler, slots=2) as worker:
        for number in range(3):
            await add_job(database.sessions, f"run_{number}")
        await wait_until(lambda: worker.active_count == 2)
        started_before = handler.logged_runs("started")

        handler.release("run_0")

        await wait_until(handler.has_logged("started", "run_2"))
    assert started_before == ["run_0", "run_1"]
