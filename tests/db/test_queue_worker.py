from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.queue import jobs
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
from tests.limits import limit

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
