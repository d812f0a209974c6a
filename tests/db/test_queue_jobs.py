from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from core.queue import jobs
from core.queue.jobs import Job
from core.store.database.engine import Database
from tests.fakes.queue import (
    RecordingHandler,
    abort_job,
    add_job,
    job_status,
    running_worker,
    wait_for_status,
    wait_until,
)
from tests.limits import patient

# A poll interval so long that only a notification can report a job.
NO_POLL = timedelta(minutes=10)


async def test_a_job_is_committed_or_rolled_back_with_its_transaction(database: Database) -> None:
    async with database.sessions() as session:
        await jobs.enqueue(session, run_id="run_a", attempt=1, session_id=uuid4())
        waiting = await jobs.depth(session)
        await session.rollback()

    async with database.sessions() as session:
        left = await jobs.depth(session)
    assert (waiting, left) == (1, 0)


async def test_a_job_starts_once_its_transaction_commits(database: Database) -> None:
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler, poll_interval=NO_POLL):
        async with database.sessions.begin() as session:
            job_id = await jobs.enqueue(session, run_id="run_a", attempt=3, session_id=uuid4())
            await add_job(database.sessions, "run_b")
            await wait_until(handler.has_logged("started", "run_b"))
            started_before = handler.logged_runs("started")

        await wait_until(handler.has_logged("started", "run_a"))

    assert started_before == ["run_b"]
    assert handler.jobs[1] == Job(job_id=job_id, run_id="run_a", attempt=3)


async def test_a_pending_job_that_is_aborted_never_starts(database: Database) -> None:
    handler = RecordingHandler(ends_at_once=True)
    session_id = uuid4()
    job_id = await add_job(database.sessions, "run_a", session_id=session_id)
    await add_job(database.sessions, "run_b", session_id=session_id)

    was_live = await abort_job(database.sessions, job_id)
    async with running_worker(database.dsn, handler):
        await wait_until(handler.has_logged("ended", "run_b"))

    assert was_live
    assert handler.logged_runs("started") == ["run_b"]
    assert await job_status(database.sessions, job_id) == "cancelled"


async def test_aborting_an_ended_job_reports_that_it_has_ended(database: Database) -> None:
    job_id = await add_job(database.sessions, "run_a")
    async with running_worker(database.dsn, RecordingHandler(ends_at_once=True)):
        await wait_for_status(database.sessions, job_id, "succeeded")

    assert not await abort_job(database.sessions, job_id)
    assert not await abort_job(database.sessions, job_id + 1000)


async def test_an_abort_is_committed_or_rolled_back_with_its_transaction(
    database: Database,
) -> None:
    job_id = await add_job(database.sessions, "run_a")

    async with database.sessions() as session:
        await jobs.abort(session, job_id)
        await session.rollback()

    assert await job_status(database.sessions, job_id) == "todo"


async def test_finishing_a_dead_workers_job_frees_its_session(database: Database) -> None:
    session_id = uuid4()
    dead = await _add_job_of_dead_worker(database, session_id=session_id)
    handler = RecordingHandler(ends_at_once=True)
    async with running_worker(database.dsn, handler, poll_interval=NO_POLL):
        await add_job(database.sessions, "run_next", session_id=session_id)
        await add_job(database.sessions, "run_other")
        await wait_until(handler.has_logged("ended", "run_other"))
        started_before = handler.logged_runs("started")

        async with database.sessions.begin() as session:
            await jobs.finish_abandoned(session, dead)
        await wait_until(handler.has_logged("started", "run_next"))

    assert started_before == ["run_other"]
    assert await job_status(database.sessions, dead) == "failed"


@pytest.mark.parametrize("is_running", [True, False])
async def test_the_queue_is_notified_that_a_session_is_free(
    database: Database, is_running: bool
) -> None:
    session_id = uuid4()
    if is_running:
        first = await _add_job_of_dead_worker(database, session_id=session_id)
    else:
        first = await add_job(database.sessions, "run_a", session_id=session_id)
    await add_job(database.sessions, "run_c", session_id=session_id, priority=-1)
    second = await add_job(database.sessions, "run_b", session_id=session_id)
    async with await psycopg.AsyncConnection.connect(database.dsn, autocommit=True) as listener:
        await listener.execute('LISTEN "procrastinate_queue_v1#runs"')

        async with database.sessions.begin() as session:
            if is_running:
                await jobs.finish_abandoned(session, first)
            else:
                await jobs.abort(session, first)

        notifications = [
            json.loads(n.payload) async for n in listener.notifies(timeout=patient(5), stop_after=1)
        ]
    assert notifications == [{"type": "job_inserted", "job_id": second}]


async def test_finishing_an_abandoned_job_leaves_an_ended_job_unchanged(database: Database) -> None:
    job_id = await add_job(database.sessions, "run_a")
    async with running_worker(database.dsn, RecordingHandler(ends_at_once=True)):
        await wait_for_status(database.sessions, job_id, "succeeded")

    async with database.sessions.begin() as session:
        await jobs.finish_abandoned(session, job_id)
        await jobs.finish_abandoned(session, job_id + 1000)

    assert await job_status(database.sessions, job_id) == "succeeded"


async def test_a_worker_whose_job_was_finished_elsewhere_continues(database: Database) -> None:
    handler = RecordingHandler()
    job_id = await add_job(database.sessions, "run_a")
    async with running_worker(database.dsn, handler, slots=1):
        await wait_until(handler.has_logged("started", "run_a"))
        async with database.sessions.begin() as session:
            await jobs.finish_abandoned(session, job_id)
        await add_job(database.sessions, "run_b")

        handler.release("run_a")

        await wait_until(handler.has_logged("started", "run_b"))
        assert handler.log == [("started", "run_a"), ("ended", "run_a"), ("started", "run_b")]
    assert await job_status(database.sessions, job_id) == "failed"


async def test_only_jobs_of_silent_workers_are_stalled(database: Database) -> None:
    silent = await _add_job_of_dead_worker(database, session_id=uuid4(), run_id="run_silent")
    gone = await _add_job_of_dead_worker(database, session_id=uuid4(), run_id="run_gone")
    async with database.sessions.begin() as session:
        await session.execute(
            text(
                "DELETE FROM procrastinate.procrastinate_workers USING "
                "procrastinate.procrastinate_jobs AS jobs "
                "WHERE jobs.worker_id = procrastinate_workers.id AND jobs.id = :job_id"
            ),
            {"job_id": gone},
        )
    handler = RecordingHandler()
    async with running_worker(database.dsn, handler):
        await add_job(database.sessions, "run_live")
        await wait_until(handler.has_logged("started", "run_live"))

        async with database.sessions() as session:
            found = await jobs.list_stalled(session, max_silence=timedelta(seconds=45))
            too_soon = await jobs.list_stalled(session, max_silence=timedelta(hours=2))

    assert [(job.job_id, job.run_id, job.attempt) for job in found] == [
        (silent, "run_silent", 1),
        (gone, "run_gone", 1),
    ]
    assert [job.job_id for job in too_soon] == [gone]


async def test_only_old_ended_jobs_are_forgotten(database: Database) -> None:
    ended = await add_job(database.sessions, "run_a")
    async with running_worker(database.dsn, RecordingHandler(ends_at_once=True)):
        await wait_for_status(database.sessions, ended, "succeeded")
    live = await add_job(database.sessions, "run_b")
    now = datetime.now(UTC)

    async with database.sessions.begin() as session:
        none_yet = await jobs.delete_finished(session, before=now - timedelta(days=1))
        one = await jobs.delete_finished(session, before=now + timedelta(seconds=1))

    assert (none_yet, one) == (0, 1)
    assert await job_status(database.sessions, live) == "todo"


async def test_the_engines_functions_find_their_tables_with_any_search_path(
    database: Database,
) -> None:
    async with database.sessions() as session:
        unpinned = await session.scalars(
            text(
                "SELECT proname FROM pg_proc "
                "WHERE pronamespace = 'procrastinate'::regnamespace "
                "AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=procrastinate, pg_temp']"
            )
        )

    assert unpinned.all() == []


async def _add_job_of_dead_worker(
    database: Database, *, session_id: UUID, run_id: str = "run_dead"
) -> int:
    async with database.sessions.begin() as session:
        job_id = await jobs.enqueue(
            session, run_id=run_id, attempt=1, session_id=session_id, priority=100
        )
        await session.execute(
            text(
                "WITH dead AS (INSERT INTO procrastinate.procrastinate_workers (last_heartbeat) "
                "VALUES (now() - interval '1 hour') RETURNING id) "
                "UPDATE procrastinate.procrastinate_jobs SET status = 'doing', "
                "worker_id = (SELECT id FROM dead) WHERE id = :job_id"
            ),
            {"job_id": job_id},
        )
    return job_id
