"""The fleet's Postgres, which is stopped and started during use."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from core.store.database import migrate
from core.store.database.embedded.server import EmbeddedServer
from tests.faults.rows import Rows

# Commits must survive the server's crash (not the machine's): unlike in other tests, commits
# are not asynchronous.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "150"}
_STOP_LIMIT_SECONDS = 15.0


@dataclass
class Postgres:
    """A server, and the ways to make it fail.

    Attributes:
        is_up: Cleared while it is down.
    """

    folder: Path
    dsn: str
    server: EmbeddedServer
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fail(self, how: signal.Signals, *, seconds: float) -> None:
        """Stop it (SIGINT: fast, SIGQUIT: immediate), and start it again after some time."""
        async with self._lock:
            self.is_up.clear()
            try:
                await asyncio.to_thread(self._stop, how)
                await asyncio.sleep(seconds)
            finally:
                await asyncio.shield(asyncio.to_thread(self.server.start))
                self.is_up.set()

    def _stop(self, how: signal.Signals) -> None:
        pid_file = next(self.folder.glob("pg/*/postmaster.pid"))
        pid = int(pid_file.read_text().split("\n", 1)[0])
        for number in (how, signal.SIGQUIT):
            os.kill(pid, number)
            deadline = time.monotonic() + _STOP_LIMIT_SECONDS
            while time.monotonic() < deadline:
                if not pid_file.exists():
                    return
                time.sleep(0.05)
        raise RuntimeError(f"Postgres (pid {pid}) does not stop")


@asynccontextmanager
async def open_postgres() -> AsyncIterator[Postgres]:
    """A private server at the newest revision."""
    # A short path, because it contains a Unix socket.
    folder = Path(tempfile.mkdtemp(prefix="sbfault-"))
    server = EmbeddedServer(folder / "pg", _SETTINGS)
    try:
        dsn = await asyncio.to_thread(server.acquire)
        try:
            await asyncio.to_thread(migrate.upgrade, dsn)
            opened = Postgres(folder, dsn, server)
            opened.is_up.set()
            yield opened
        finally:
            await asyncio.shield(asyncio.to_thread(server.release))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def open_rows(postgres: Postgres) -> AsyncIterator[Rows]:
    """The rows, over the harness's own connections."""
    pool = await asyncpg.create_pool(
        postgres.dsn, min_size=1, max_size=6, timeout=5, command_timeout=20
    )
    try:
        yield Rows(pool)
    finally:
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()
