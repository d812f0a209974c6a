"""A worker during an outage of Postgres: the test stops and starts a private server."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from core.queue.worker import Worker
from core.store.database.embedded.server import embedded_postgres
from core.store.database.engine import Database, open_database
from core.store.database.migrate import upgrade
from tests.fakes.queue import (
    RecordingHandler,
    abort_job,
    add_job,
    running_worker,
    wait_for_status,
    wait_until,
)
from tests.limits import limit

# Longest time to start or abort a job after an outage: the last backoff (1 s) and a reconnect.
SOON = 4.0


class Server:
    """A private Postgres that can be stopped and started."""

    def __init__(self, data_dir: Path) -> None:
        self.dsn = ""
        self._data_dir = data_dir
        self._running = AsyncExitStack()

    async def start(self) -> None:
        self.dsn = await self._running.enter_async_context(embedded_postgres(self._data_dir))

    async def stop(self) -> None:
        await self._running.aclose()

    async def restart(self) -> None:
        await self.stop()
        await self.start()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    # Not tmp_path: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        private = Server(Path(folder) / "data")
        await private.start()
        await asyncio.to_thread(upgrade, private.dsn)
        yield private
        await private.stop()


@pytest.fixture
async def private(server: Server) -> AsyncIterator[Database]:
    async with open_database(server.dsn) as database:
        yield database


async def test_a_restart_of_postgres_leaves_jobs_unharmed(
    server: Server, private: Database
) -> None:
    handler = RecordingHandler()
    async with running_worker(server.dsn, handler) as worker:
        completed = await add_job(private.sessions, "run_a")
        killed = await add_job(private.sessions, "run_b")
        await wait_until(lambda: worker.active_count == 2)

        await server.restart()

        await _wait_until_reconnected(private)
        await add_job(private.sessions, "run_c")
        start = await wait_until(handler.has_logged("started", "run_c"))
        await abort_job(private.sessions, killed)
        kill = await wait_until(handler.has_logged("cancelled", "run_b"))
        handler.release("run_a")
        await wait_for_status(private.sessions, completed, "succeeded")
        await wait_until(lambda: worker.is_ready)
    assert start < SOON
    assert kill < SOON
    assert handler.logged_runs("cancelled") == ["run_b", "run_c"]


async def test_a_job_that_ends_in_an_outage_is_recorded_after_it(
    server: Server, private: Database
) -> None:
    handler = RecordingHandler()
    async with running_worker(server.dsn, handler) as worker:
        job_id = await add_job(private.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))
        await server.stop()
        await wait_until(lambda: not worker.is_ready)

        handler.release("run_a")
        await wait_until(handler.has_logged("ended", "run_a"))
        await server.start()

        await _wait_until_reconnected(private)
        await wait_for_status(private.sessions, job_id, "succeeded", within=SOON)
    assert handler.log == [("started", "run_a"), ("ended", "run_a")]


async def test_notifications_are_received_again_after_an_outage(
    server: Server, private: Database
) -> None:
    handler = RecordingHandler(ends_at_once=True)
    async with running_worker(server.dsn, handler, poll_interval=timedelta(minutes=2)) as worker:
        await server.restart()
        await _wait_until_reconnected(private)
        assert worker._connector is not None
        received_count = worker._connector._notification_count
        async with limit(SOON):
            while worker._connector._notification_count == received_count:
                await add_job(private.sessions, "run_more")
                await asyncio.sleep(0.05)

        took = []
        for number in range(4):
            await add_job(private.sessions, f"run_{number}")
            took.append(await wait_until(handler.has_logged("started", f"run_{number}")))

    assert max(took) < 60  # the notification, not the poll


async def test_a_worker_can_start_before_postgres_does(server: Server) -> None:
    dsn = server.dsn
    await server.stop()
    handler = RecordingHandler(ends_at_once=True)
    worker = Worker(dsn, name="early", slots=1, handler=handler)
    running = asyncio.create_task(worker.run())
    await wait_until(lambda: worker._connector is not None and not worker._connector.is_reachable)
    assert not worker.is_ready

    await server.start()

    await wait_until(lambda: worker.is_ready)
    async with open_database(server.dsn) as database:
        await add_job(database.sessions, "run_a")
        await wait_until(handler.has_logged("ended", "run_a"))
    await worker.stop(drain=timedelta(0))
    await running
    assert handler.log == [("started", "run_a"), ("ended", "run_a")]


async def test_a_worker_can_be_stopped_while_postgres_is_unreachable(
    server: Server, private: Database, caplog: pytest.LogCaptureFixture
) -> None:
    handler = RecordingHandler()
    async with running_worker(server.dsn, handler, cancel_limit=1) as worker:
        await add_job(private.sessions, "run_a")
        await wait_until(handler.has_logged("started", "run_a"))
        await server.stop()
        await wait_until(lambda: not worker.is_ready)

        async with limit(20):
            await worker.stop(drain=timedelta(milliseconds=100))

        await server.start()
    assert handler.logged_runs("cancelled") == ["run_a"]
    (unrecorded,) = (
        vars(record)
        for record in caplog.records
        if vars(record).get("event") == "job.record_failed"
    )
    assert unrecorded["run_id"] == "run_a"
    assert unrecorded["exc_info"]


async def _wait_until_reconnected(database: Database) -> None:
    """Wait until the test's own connections work again."""
    async with limit(10):
        while True:
            try:
                async with database.sessions() as session:
                    await session.connection()
                    return
            except (DBAPIError, OSError):
                await asyncio.sleep(0.05)
