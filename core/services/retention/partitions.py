"""Partitions of coming months, made ahead of time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from core.domain.month import Month
from core.services.context import ServiceContext
from core.store.database.direct import DirectReads
from core.store.database.engine import translate_errors
from core.store.partitions import partitions
from core.store.partitions.partitions import MOST_MOVED, LockBusy
from core.store.partitions.tables import PARTITIONED_TABLES, PartitionedTable

log = logging.getLogger(__name__)

MONTHS_AHEAD = 3
_TRIES = 20
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class PartitionService:
    """Makes the partitions of coming months, and of months that were missed.

    Attributes:
        pause_seconds: The longest pause before a lock is tried for again.
    """

    context: ServiceContext
    pause_seconds: float = _PAUSE_SECONDS

    async def add_coming(self) -> int:
        """Make the partitions that are missing, up to three months ahead.

        A month of which there are rows in the default partition gets one as well.  Nothing waits
        for longer than a few milliseconds meanwhile.

        Returns:
            How many partitions were made.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        added = 0
        for table in PARTITIONED_TABLES:
            for month in await self._missing(table):
                if await self.try_often(partial(partitions.add_month, table=table, month=month)):
                    added += 1
                    log.info(
                        "added the partition of %s to %s",
                        month,
                        table.name,
                        extra={
                            "event": "partition.added",
                            "table": table.name,
                            "month": str(month),
                        },
                    )
        return added

    async def strays(self) -> dict[str, int]:
        """How many rows of which tables are in the default partition.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        found: dict[str, int] = {}
        async with self.context.transaction() as session:
            for table in PARTITIONED_TABLES:
                if rows := sum((await partitions.months_in_default(session, table)).values()):
                    found[table.name] = rows
        return found

    async def missing_now(self) -> list[str]:
        """The tables that have no partition of the present month.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        missing: list[str] = []
        async with self.context.transaction() as session:
            for table in PARTITIONED_TABLES:
                present = await partitions.list_partitions(session, table)
                if not any(one.covers(now) for one in present):
                    missing.append(table.name)
        return missing

    async def _missing(self, table: PartitionedTable) -> list[Month]:
        async with self.context.transaction() as session:
            present = await partitions.list_partitions(session, table)
            strays = await partitions.months_in_default(session, table)
        wanted = {month for month, rows in strays.items() if rows <= MOST_MOVED}
        month = Month.of(self.context.clock())
        for _ in range(MONTHS_AHEAD + 1):
            if strays.get(month, 0) <= MOST_MOVED:
                wanted.add(month)
            month = month.following
        return sorted(
            month for month in wanted if not any(one.covers(month.start) for one in present)
        )

    async def try_often(self, act: Callable[[DirectReads], Awaitable[None]]) -> bool:
        """Call something until it gets its locks; `False` if it never does.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        random = Random()  # noqa: S311 - pauses are no secret
        for _ in range(_TRIES):
            try:
                with translate_errors():
                    await act(self.context.database.reads)
            except LockBusy:
                await asyncio.sleep(random.uniform(0.1, 1) * self.pause_seconds)
            else:
                return True
        log.warning(
            "a table was too busy to change its partitions; it is tried again later",
            extra={"event": "partition.lock_busy"},
        )
        return False
