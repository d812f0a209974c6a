"""The tests' Postgres: one embedded server per test process, emptied after each test."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.run import Run, RunStatus
from core.domain.runs.session import Session
from core.store.database import migrate
from core.store.database.embedded.server import EmbeddedServer
from core.store.database.engine import Database, open_database
from core.store.runs import run_queries, runs
from core.store.sessions import sessions
from tests.limits import limit, patient

# A test's data need not survive a crash of the machine.
NO_DURABILITY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "120",
}

# Deleting from small tables takes a tenth of the time of truncating them; in the replica role
# the session triggers neither triggers nor foreign keys.
_EMPTY = """
    DO $$
    DECLARE
        found regclass;
    BEGIN
        SET LOCAL session_replication_role = replica;
        FOR found IN
            SELECT format('%I.%I', schemaname, tablename)::regclass FROM pg_tables
            WHERE schemaname IN ('public', 'procrastinate') AND tablename <> 'alembic_version'
        LOOP
            EXECUTE format('DELETE FROM %s', found);
        END LOOP;
    END
    $$
"""
_OTHER_CONNECTIONS = """
    SELECT array_agg(coalesce(application_name, '') || ': ' || state || ': ' || query)
    FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
# The backend of a closed connection takes a moment to end.
_DISCONNECT_SECONDS = 5.0


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The DSN of this process's Postgres, at the newest revision."""
    # A short path, because it contains a Unix socket.
    folder = Path(tempfile.mkdtemp(prefix="sbpg-"))
    server = EmbeddedServer(folder / "pg", NO_DURABILITY)
    try:
        dsn = server.acquire()
        try:
            with ThreadPoolExecutor(1) as thread:  # a thread without an event loop
                thread.submit(migrate.upgrade, dsn).result(timeout=patient(60))
            yield dsn
        finally:
            server.release()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """An open, empty database.  Transactions really commit; their data is deleted after the test.

    A test that leaves a connection open fails: its locks would block the next test.
    """
    async with emptied_database(postgres_dsn) as opened:
        yield opened


@asynccontextmanager
async def emptied_database(postgres_dsn: str) -> AsyncIterator[Database]:
    """The same for the duration of a block."""
    async with open_database(postgres_dsn) as opened:
        yield opened
    connection = await asyncpg.connect(postgres_dsn, timeout=10, command_timeout=20)
    try:
        remaining = await _wait_for_other_connections(connection)
        if remaining:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        await connection.execute(_EMPTY)
    finally:
        await connection.close(timeout=5)
    assert not remaining, f"connections left open: {remaining}"


async def _wait_for_other_connections(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patient(_DISCONNECT_SECONDS)
    while True:
        remaining: list[str] | None = await connection.fetchval(_OTHER_CONNECTIONS)
        if not remaining or loop.time() > deadline:
            return remaining or []
        await asyncio.sleep(0.01)


@asynccontextmanager
async def missing_table(database: Database, name: str) -> AsyncIterator[None]:
    """A database in which what needs this table fails, as by a defect."""
    async with database.sessions.begin() as session:
        await session.execute(text(f"ALTER TABLE {name} RENAME TO {name}_missing"))
    try:
        yield
    finally:
        async with database.sessions.begin() as session:
            await session.execute(text(f"ALTER TABLE {name}_missing RENAME TO {name}"))


async def wait_for_blocked_session(session: AsyncSession) -> None:
    """Wait until a session waits for a lock."""
    async with limit(10):
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not await session.scalar(waiting):  # noqa: ASYNC110 - only Postgres knows
            await asyncio.sleep(0.005)


NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def new_session(**fields: Any) -> Session:
    """A session without an owner."""
    return replace(Session(id=uuid4(), agent_name="implement", created_at=NOW), **fields)


def new_run(session_id: UUID, **fields: Any) -> Run:
    """A pending run whose thread has a place in Slack."""
    identity = uuid4()
    run_id = f"run_{identity.hex[:12]}"
    run = Run(
        id=identity,
        run_id=run_id,
        workflow_name="implement",
        task_input="Add rate limiting",
        status=RunStatus.PENDING,
        created_at=NOW,
        updated_at=NOW,
        session_id=session_id,
        slack_team_id="T1",
        slack_channel_id="C1",
        thread_key=run_id,
    )
    return replace(run, **fields)


async def stored_run(database: Database, **fields: Any) -> Run:
    """A pending run as stored; its session is created unless one is given."""
    async with database.sessions.begin() as session:
        if "session_id" not in fields:
            conversation = new_session()
            await sessions.add(session, conversation)
            fields["session_id"] = conversation.id
        run = new_run(**fields)
        await runs.add(session, run)
        return await run_queries.get(session, run.run_id)


async def running_run(database: Database, **fields: Any) -> Run:
    """A run in its first attempt, on the worker `w1`."""
    run = await stored_run(database, **fields)
    async with database.sessions.begin() as session:
        return await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=NOW)
