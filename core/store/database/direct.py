"""Reads of one statement, directly on connections of the pool.

A session and its transaction take several times as long as a statement that finds one row.  One
statement needs neither: it sees one state of the database by itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

# Of the pool, which other work needs too.
_MAX_CONNECTIONS = 6
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
    """Runs single statements that only read.

    Attributes:
        engine: The pool.
    """

    engine: AsyncEngine
    _free: list[_Kept] = field(default_factory=list)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_CONNECTIONS))
    _returning: asyncio.Task[None] | None = None

    async def fetch_row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """Run a statement and return its first row, with `jsonb` and `json` already parsed.

        Each connection prepares it once.

        Args:
            statement: SQL with `$1`, `$2`, … for the arguments; it must only read.
            arguments: Their values.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlalchemy.exc.TimeoutError:
                If it fails; `translate_errors` knows them.
        """
        async with self._slots:
            kept = self._free.pop() if self._free else await self._take()
            try:
                row: asyncpg.Record | None = await kept.connection.fetchrow(statement, *arguments)
            except BaseException:
                # It may be broken, or in the middle of the statement.
                kept.pooled.invalidate()
                kept.pooled.close()
                raise
            await self._keep(kept)
        return row

    async def _take(self) -> _Kept:
        pooled = await self.engine.raw_connection()
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


async def _return(kept: _Kept) -> None:
    """Return a connection to the pool, which closes it if it has enough: that takes a wait."""
    await greenlet_spawn(kept.pooled.close)
