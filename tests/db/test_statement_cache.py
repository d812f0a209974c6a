"""The tests' cache of compiled statements."""

from __future__ import annotations

from sqlalchemy import literal, select

from core.store.database.engine import Database, open_database
from tests.statement_cache import STATEMENTS


async def test_what_one_engine_has_compiled_is_known_to_the_next(database: Database) -> None:
    async def run(opened: Database, value: str) -> str | None:
        async with opened.sessions() as session:
            return await session.scalar(select(literal(value).label("of_this_test_only")))

    assert await run(database, "one") == "one"
    known = len(STATEMENTS)
    async with open_database(database.dsn) as other:
        assert await run(other, "two") == "two"

    assert len(STATEMENTS) == known
    assert any("of_this_test_only" in str(compiled) for compiled in STATEMENTS.values())
