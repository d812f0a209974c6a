"""Connections of the pool: checked after an idle time, not right after their use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import QueuePool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.store.database.connect import make_connector
from core.store.database.engine import Database, open_database
from core.store.database.pool_check import PING_AFTER_IDLE_SECONDS, ping_before_use


@dataclass
class Pool:
    """A pool with a clock that the test moves.

    Attributes:
        ping_count: How often it checked a connection.
    """

    engine: AsyncEngine
    now: float = 0.0
    ping_count: int = 0

    def __post_init__(self) -> None:
        dialect = self.engine.sync_engine.dialect
        ping = dialect.do_ping

        def counted(connection: object) -> bool:
            self.ping_count += 1
            return ping(connection)  # type: ignore[arg-type]

        dialect.do_ping = counted  # type: ignore[method-assign, assignment]
        ping_before_use(self.engine.sync_engine, now=lambda: self.now)

    async def use(self) -> int:
        """Use a connection; returns its process id in Postgres."""
        async with self.engine.connect() as connection:
            return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=make_connector(database.dsn), pool_size=2
    )
    yield Pool(engine)
    await engine.dispose()


async def test_a_connection_is_pinged_only_after_an_idle_time(pool: Pool) -> None:
    first = await pool.use()
    pool.now += PING_AFTER_IDLE_SECONDS / 2
    in_a_row = await pool.use(), pool.ping_count
    pool.now += PING_AFTER_IDLE_SECONDS

    after_a_rest = await pool.use(), pool.ping_count

    assert in_a_row == (first, 0)
    assert after_a_rest == (first, 1)


async def test_a_dead_connection_is_replaced_before_its_use(pool: Pool, database: Database) -> None:
    first = await pool.use()
    async with database.sessions() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})

    assert await pool.use() != first
    assert pool.ping_count == 0


async def test_a_silent_connection_is_replaced_before_its_use(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await pool.use()
    pool.now += 2 * PING_AFTER_IDLE_SECONDS

    def is_silent(connection: Any) -> bool:
        connection.driver_connection.terminate()  # as the driver does after its limit of time
        raise pool.engine.dialect.loaded_dbapi.InterfaceError("no answer")

    monkeypatch.setattr(pool.engine.sync_engine.dialect, "do_ping", is_silent)

    assert await pool.use() != first


async def test_a_closing_pool_waits_for_connections_in_use(database: Database) -> None:
    async def use(opened: Database, begun: asyncio.Event) -> None:
        async with opened.sessions.begin() as session:
            await session.execute(text("SELECT 1"))
            begun.set()
            await session.execute(text("SELECT pg_sleep(0.2)"))

    begun = asyncio.Event()
    async with open_database(database.dsn) as opened:
        using = asyncio.create_task(use(opened, begun))
        await begun.wait()
        pool = opened.engine.pool

    await using
    assert isinstance(pool, QueuePool)
    assert (pool.checkedout(), pool.checkedin()) == (0, 0)
