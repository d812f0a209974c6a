"""A worker's inbox during outages of the database: no message is lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.services.context import ServiceContext
from core.store.database import migrate
from core.store.database.embedded.server import EmbeddedServer
from core.store.database.engine import Database, open_database
from tests.database import NO_DURABILITY, NOW
from tests.inbox_harness import WORKER, InboxHarness, connected, wait_for_rows, wait_until
from tests.postgres_proxy import open_postgres_proxy

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A Postgres of the test's own, which it may stop."""
    folder = Path(tempfile.mkdtemp(prefix="sbpg-"))
    own = EmbeddedServer(folder / "pg", NO_DURABILITY)
    own.acquire()
    yield own
    own.release()
    shutil.rmtree(folder)


async def test_a_message_that_was_sent_while_the_line_was_cut_comes_with_the_next_connection(
    database: Database,
) -> None:
    async with open_postgres_proxy(database.dsn) as line, open_database(line.dsn) as cuttable:
        sender, receiver = InboxHarness(database), InboxHarness(cuttable)
        attempt = await sender.begun()
        async with receiver.running():
            with receiver.lease.holding(attempt):
                await connected(database)
                line.cut()
                await sender.kill(attempt.run)
                line.restore()
                await wait_until(attempt.stop.requested.is_set)
                await wait_for_rows(sender, [(WORKER, "kill", "handled")])


async def test_a_failed_reading_is_repeated_without_another_wake_up(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    await harness.kill(attempt.run)
    async with open_database(UNREACHABLE) as broken:
        # Its listener is connected; only the pool is not.
        harness.inbox.context = ServiceContext(replace(broken, dsn=database.dsn), lambda: NOW)
        with harness.lease.holding(attempt):
            async with harness.running():
                await wait_until(lambda: "inbox not read" in caplog.text)
                await connected(database)
                harness.inbox.context = harness.context
                await wait_for_rows(harness, [(WORKER, "kill", "handled")])


async def test_a_restart_of_postgres_loses_no_message(server: EmbeddedServer) -> None:
    await asyncio.to_thread(migrate.upgrade, server.dsn)
    async with open_database(server.dsn) as own:
        harness = InboxHarness(own)
        attempt = await harness.begun()
        async with harness.running():
            await connected(own)
            # Not held here yet, so that nothing is handled before the restart.
            await harness.kill(attempt.run)
            await own.engine.dispose()
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            with harness.lease.holding(attempt):
                await wait_until(attempt.stop.requested.is_set)
                await wait_for_rows(harness, [(WORKER, "kill", "handled")])
