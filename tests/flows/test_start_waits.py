"""A process started before its database waits, says so, and can be stopped."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.store.database import migrate
from core.store.database.embedded.server import EmbeddedServer
from core.store.database.engine import Database
from tests.database import NO_DURABILITY
from tests.processes import new_home, run_to_end, running

# The discard port: nothing listens there.
NOBODY_LISTENS = "postgresql://postgres@127.0.0.1:9/postgres"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return new_home(tmp_path / "home")


@pytest.fixture
def server() -> Iterator[tuple[EmbeddedServer, str]]:
    """A private Postgres and its address."""
    # A short path, because it contains a Unix socket.
    with tempfile.TemporaryDirectory(prefix="sbpg-") as folder:
        server = EmbeddedServer(Path(folder) / "pg", NO_DURABILITY)
        dsn = server.acquire()
        try:
            migrate.upgrade(dsn)
            yield server, dsn
        finally:
            server.release()


async def test_a_worker_started_before_its_database_waits_for_it(
    home: Path, server: tuple[EmbeddedServer, str]
) -> None:
    postgres, dsn = server
    await asyncio.to_thread(postgres.stop)
    async with running("worker", home, DATABASE_URL=dsn) as worker:
        await worker.wait_for_output("waiting for it, up to 60 s")
        await asyncio.to_thread(postgres.start)
        await worker.wait_until_ready()

    assert sum("waiting for it" in line for line in worker.lines) == 1


async def test_a_waiting_start_can_be_stopped(home: Path) -> None:
    async with running("worker", home, DATABASE_URL=NOBODY_LISTENS) as worker:
        await worker.wait_for_output("waiting for it")
        worker.send(signal.SIGTERM)
        began = time.monotonic()

        assert await worker.wait_until_ended() == 2
        # Of the minute that it would wait.
        assert time.monotonic() - began < 50
    assert "The database does not answer" in worker.lines[-1]


async def test_a_missing_database_is_not_waited_for(home: Path, database: Database) -> None:
    dsn = database.dsn.replace("/postgres?", "/nonesuch?")
    done = await run_to_end("worker", home=home, DATABASE_URL=dsn, SIGNALBOX_LOG="error")

    assert done.status == 2
    (line,) = done.lines
    assert line.startswith('signalbox: DATABASE_URL: Postgres refuses: database "nonesuch" does')
