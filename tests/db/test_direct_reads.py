"""Reads of one statement, on connections of the pool."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import pytest
from sqlalchemy import event, text

from core.store.database.engine import Database
from core.store.database.pool_use import CountingPool
from tests.limits import limit


async def test_values_of_json_are_parsed(database: Database) -> None:
    row = await database.reads.fetch_row("SELECT '{\"a\": 1}'::jsonb AS a, $1::int AS b", 7)

    assert row is not None
    assert (row["a"], row["b"]) == ({"a": 1}, 7)
    assert await database.reads.fetch_row("SELECT 1 WHERE false") is None


async def test_more_reads_than_connections_all_get_their_rows(database: Database) -> None:
    rows = await asyncio.gather(
        *(database.reads.fetch_row("SELECT $1::int AS number", one) for one in range(60))
    )

    assert [row and row["number"] for row in rows] == list(range(60))


async def test_connections_return_to_the_pool_when_nothing_reads(database: Database) -> None:
    pool = database.engine.pool
    assert isinstance(pool, CountingPool)
    returned: list[object] = []
    event.listen(pool, "checkin", lambda connection, record: returned.append(connection))

    row = await database.reads.fetch_row("SELECT pg_backend_pid() AS pid")
    assert row is not None
    async with limit(5):
        while not returned:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)

    assert (pool.use().in_use, pool.use().idle) == (0, 1)
    # It is open, and the next of all those who use the pool gets it.
    async with database.sessions() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) == row["pid"]


async def test_a_failed_read_does_not_spoil_the_next_one(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.reads.fetch_row("SELECT * FROM nothing")

    row = await database.reads.fetch_row("SELECT 2 AS number")

    assert row is not None
    assert row["number"] == 2


async def test_a_broken_connection_is_not_used_again(database: Database) -> None:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await database.reads.fetch_row("SELECT pg_terminate_backend(pg_backend_pid())")

    row = await database.reads.fetch_row("SELECT 3 AS number")

    assert row is not None
    assert row["number"] == 3


async def test_a_cancelled_read_gives_its_place_to_another(database: Database) -> None:
    for _ in range(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.reads.fetch_row("SELECT pg_sleep(3)")

    async with limit(10):
        assert await database.reads.fetch_row("SELECT 4") is not None


async def test_a_connection_that_the_pool_has_no_room_for_is_closed(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    pool = database.engine.pool
    assert isinstance(pool, CountingPool)
    async with AsyncExitStack() as others:
        for _ in range(pool.size()):
            await others.enter_async_context(database.engine.connect())
        in_use: list[int] = []
        event.listen(pool, "checkout", lambda *_: in_use.append(pool.use().in_use))
        await database.reads.fetch_row("SELECT 1")
        # Now it may have been returned already.
        assert in_use == [pool.size() + 1]

    async with limit(5):
        while pool.use().in_use:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    assert pool.use().idle == pool.size()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
