"""Single statements, directly on connections of the pool.

A session and its transaction take several times as long as a statement that finds one row.  One
statement needs neither: it sees one state of the database, and is a transaction by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

# Of the pool, which other work needs too: for reads, and as many for writes.  A write can wait for
# another one, and must not keep the reads waiting.
_MAX_CONNECTIONS = 6


def _slots() -> asyncio.Semaphore:
    return asyncio.Semaphore(_MAX_CONNECTIONS)


# For so long a connection is kept for the next statements, and then returned to the pool: to get
# it from there takes a third of the time of a statement.
_KEPT_SECONDS = 0.1


@dataclass(frozen=True)
class _Kept:
    """A connection that was taken from the pool at a time of the monotonic clock."""

    pooled: PoolProxiedConnection
    connection: Any
    since: float


@dataclass
class DirectReads:
    """Runs single statements; almost all of them only read.

    Attributes:
        engine: The pool.
        begun_count: How many statements were begun.
    """

    engine: AsyncEngine
    begun_count: int = 0
    _free: list[_Kept] = field(default_factory=list)
    _reading: asyncio.Semaphore = field(default_factory=_slots)
    _writing: asyncio.Semaphore = field(default_factory=_slots)
    _returning: asyncio.Task[None] | None = None

    async def fetch_row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """Run a statement and return its first row, with `jsonb` and `json` already parsed.

        Each connection prepares it once.

        Args:
            statement: SQL with `$1`, `$2`, … for the arguments.
            arguments: Their values.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlalchemy.exc.TimeoutError:
                If it fails; `translate_errors` knows them.
        """
        async with self._reading:
            return await self._fetch_row(statement, arguments)

    async def write_row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """Run a statement that writes, and return its first row; as `fetch_row` otherwise.

        What it writes is committed when it returns.  If the answer is lost, that is unknown.
        """
        async with self._writing:
            return await self._fetch_row(statement, arguments)

    async def write_script(self, script: str) -> None:
        """Run several statements as one transaction, all of them sent at once.

        Between two of them nothing waits for this process, so a lock that one takes is held for
        no longer than the server needs for the rest.

        Args:
            script: SQL, with semicolons between the statements and nothing about transactions.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlalchemy.exc.TimeoutError:
                If one fails; then none has any effect.  `translate_errors` knows them.
        """
        async with self._writing:
            kept = await self._begin()
            try:
                await kept.connection.execute(script)
            except BaseException:
                _abandon(kept)
                raise
            await self._keep(kept)

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Run a statement and return all of its rows; otherwise the same as `fetch_row`."""
        async with self._reading:
            kept = await self._begin()
            try:
                rows: list[asyncpg.Record] = await kept.connection.fetch(statement, *arguments)
            except BaseException:
                _abandon(kept)
                raise
            await self._keep(kept)
        return rows

    async def _fetch_row(
        self, statement: str, arguments: Sequence[object]
    ) -> asyncpg.Record | None:
        kept = await self._begin()
        try:
            row: asyncpg.Record | None = await kept.connection.fetchrow(statement, *arguments)
        except BaseException:
            _abandon(kept)
            raise
        await self._keep(kept)
        return row

    async def _begin(self) -> _Kept:
        self.begun_count += 1
        return self._free.pop() if self._free else await self._take()

    async def _take(self) -> _Kept:
        dialect = self.engine.dialect
        try:
            pooled = await self.engine.raw_connection()
        except dialect.loaded_dbapi.Error as error:
            # Where a connection cannot be opened, SQLAlchemy hides what asyncpg raised in an
            # error of its own, and does not wrap it as it does for a session.
            raise (error.__cause__ or error) from error
        return _Kept(pooled, pooled.driver_connection, time.monotonic())

    async def _keep(self, kept: _Kept) -> None:
        if time.monotonic() - kept.since >= _KEPT_SECONDS:
            await _return(kept)
            return
        self._free.append(kept)
        if self._returning is None or self._returning.done():
            self._returning = asyncio.create_task(self._return_later(), name="return connections")

    async def _return_later(self) -> None:
        while self._free:
            await asyncio.sleep(_KEPT_SECONDS)
            await self._return_free()

    async def close(self) -> None:
        """Return to the pool what is kept and not in use."""
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.wait({self._returning})
        await self._return_free()

    async def _return_free(self) -> None:
        while self._free:
            await _return(self._free.pop())


def _abandon(kept: _Kept) -> None:
    """Close a connection that may be broken, or in the middle of a statement."""
    kept.pooled.invalidate()
    kept.pooled.close()


async def _return(kept: _Kept) -> None:
    """Return a connection to the pool, which closes it if it has enough: that takes a wait."""
    await greenlet_spawn(kept.pooled.close)
