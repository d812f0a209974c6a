"""Reads of one statement, directly on a connection of the pool.

A session and its transaction take several times as long as a statement that finds one row.  One
statement needs neither: it sees one state of the database by itself.
"""

from __future__ import annotations

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine


async def fetch_row(
    engine: AsyncEngine, statement: str, *arguments: object
) -> asyncpg.Record | None:
    """Run a statement and return its first row, with `jsonb` and `json` already parsed.

    Each connection prepares it once.

    Args:
        engine: The pool.
        statement: SQL with `$1`, `$2`, … for the arguments; it must only read.
        arguments: Their values.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlalchemy.exc.TimeoutError: If it
            fails; `translate_errors` knows them.
    """
    pooled = await engine.raw_connection()
    try:
        connection = pooled.driver_connection
        if connection is None:
            raise asyncpg.InterfaceError("the connection is closed")
        row: asyncpg.Record | None = await connection.fetchrow(statement, *arguments)
    except asyncpg.PostgresError:
        if connection.is_closed():
            pooled.invalidate()
        raise
    except BaseException:
        # Broken, or in the middle of a statement.
        pooled.invalidate()
        raise
    finally:
        pooled.close()
    return row
