from __future__ import annotations

from sqlalchemy import text

from core.store import migrate
from core.store.engine import Database


async def test_a_migrated_database_is_current(database: Database) -> None:
    assert await migrate.is_current(database)


async def test_two(database: Database) -> None:
    async with database.sessions.begin() as session:
        await session.execute(
            text("insert into users values (gen_random_uuid(), 'x', null, null, now(), now())")
        )
