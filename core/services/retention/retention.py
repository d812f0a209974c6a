"""Retention: what is older than the settings say is removed, and its space given back.

Whole months are dropped, each in a transaction of milliseconds.  Within a month rows are deleted in
small batches.  It begins anew wherever it was interrupted: what there is to do is told by the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial

from core.domain.meter import NO_METER, Meter
from core.domain.retention import DEFAULT_RETENTION, Removed, RetentionKind, RetentionPolicy
from core.services.context import ServiceContext
from core.services.retention.partitions import PartitionService
from core.services.retention.transcripts import TranscriptRetention
from core.store import patches
from core.store.partitions import partitions
from core.store.partitions.tables import AUDIT, EVENTS, Partition
from core.store.retention import audit, events

log = logging.getLogger(__name__)

# Rows of one transaction, which takes some 10 ms.
_BATCH = 1_000
_RUNS = 50
# Each has some megabytes at most.
_PATCHES = 50
# An end may be committed a little later than its time says, and events have clocks of workers.
_OVERLAP = timedelta(days=1)


@dataclass
class RetentionService:
    """Removes what is older than the settings say; only the process that leads calls it.

    Attributes:
        batch: How many rows one transaction deletes at most.
        meter: Hears of what was removed.
    """

    context: ServiceContext
    policy: RetentionPolicy = DEFAULT_RETENTION
    batch: int = _BATCH
    meter: Meter = NO_METER
    # Until which end of runs their events have been deleted, so that a pass only looks at the rest.
    _events_deleted_until: datetime | None = field(default=None, init=False)

    @property
    def partitions(self) -> PartitionService:
        """What makes and drops partitions."""
        return PartitionService(self.context)

    async def delete_expired(self) -> dict[RetentionKind, Removed]:
        """Remove everything that has expired, of each kind.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        acts: dict[RetentionKind, Callable[[datetime], Awaitable[Removed]]] = {
            RetentionKind.EVENTS: self._events,
            RetentionKind.TRANSCRIPTS: self._transcripts,
            RetentionKind.AUDIT: self._audit,
        }
        found: dict[RetentionKind, Removed] = {}
        for kind, act in acts.items():
            length = self.policy.of(kind)
            removed = Removed() if length is None else await act(self.context.clock() - length)
            found[kind] = removed
            if removed != Removed():
                self.meter.expired_removed(kind, rows=removed.rows, months=removed.months)
                log.info(
                    "removed %s months and %s rows of %s",
                    removed.months,
                    removed.rows,
                    kind.value,
                    extra={"event": "expired.removed", "kind": kind.value, **asdict(removed)},
                )
        return found

    async def _events(self, before: datetime) -> Removed:
        removed = Removed()
        async with self.context.transaction() as session:
            present = await partitions.list_partitions(session, EVENTS)
            strays = await partitions.months_in_default(session, EVENTS)
        # Where the rows are to be deleted one by one, of which the first begins at this time.
        since: list[datetime | None] = [None] if strays else []
        for partition in present:
            if partition.until is None or (partition.first or before) > before:
                continue
            emptied = await self._empty_events(partition, before)
            if emptied is None:
                since.append(partition.first)
            else:
                removed += emptied
        removed += await self._events_of_ended(before, since)
        # The lines that a run changed are shown beside its log, and go with it.
        return removed + await self._patches(before)

    async def _patches(self, before: datetime) -> Removed:
        rows, deleted = 0, _PATCHES
        while deleted == _PATCHES:
            async with self.context.transaction() as session:
                deleted = await patches.delete_before(session, before=before, limit=_PATCHES)
            rows += deleted
        return Removed(rows=rows)

    async def _empty_events(self, partition: Partition, before: datetime) -> Removed | None:
        """Drop or rewrite a month that has expired as a whole; `None` if that cannot be."""
        if partition.until is None or partition.until > before:
            return None
        async with self.context.transaction() as session:
            found = await events.contents(session, partition, ended_before=before)
            size = await partitions.size_bytes(session, partition)
        if not found.kept:
            return await self._drop(partition)
        if not found.has_expired:
            return Removed()
        if found.kept > events.MOST_COPIED:
            return None
        rewrite = partial(events.keep_only, partition=partition, runs=found.runs)
        if not await self.partitions.try_often(rewrite):
            return None
        async with self.context.transaction() as session:
            size -= await partitions.size_bytes(session, partition)
        return Removed(freed_bytes=size, moved=found.kept)

    async def _events_of_ended(self, before: datetime, since: Sequence[datetime | None]) -> Removed:
        """Delete the events of ended runs from the months that remain; these are their begins."""
        rows, after = 0, None
        start = min((one for one in since if one is not None), default=None)
        if None in since:
            async with self.context.transaction() as session:
                start = await events.oldest(session)
        if start is None:
            return Removed()
        start = max(start, self._events_deleted_until or start) - _OVERLAP
        while True:
            async with self.context.transaction() as session:
                found = await events.ended(
                    session, before=before, since=start, after=after, limit=_RUNS
                )
            if not found.ids:
                break
            deleted = self.batch
            while deleted == self.batch:
                async with self.context.transaction() as session:
                    deleted = await events.delete_of_runs(session, found.ids, limit=self.batch)
                rows += deleted
            after = found.last
        self._events_deleted_until = before
        return Removed(rows=rows)

    async def _transcripts(self, before: datetime) -> Removed:
        return await TranscriptRetention(self.context, self.partitions).remove(before)

    async def _audit(self, before: datetime) -> Removed:
        removed = Removed()
        async with self.context.transaction() as session:
            present = await partitions.list_partitions(session, AUDIT)
        for partition in present:
            if partition.until is not None and partition.until <= before:
                removed += await self._drop(partition)
        deleted = self.batch
        while deleted == self.batch:
            async with self.context.transaction() as session:
                deleted = await audit.delete_before(session, before=before, limit=self.batch)
            removed += Removed(rows=deleted)
        return removed

    async def _drop(self, partition: Partition) -> Removed:
        """Drop a partition; nothing is removed if its table is too busy."""
        async with self.context.transaction() as session:
            size = await partitions.size_bytes(session, partition)
        is_dropped = await self.partitions.try_often(partial(partitions.drop, partition=partition))
        return Removed(months=1, freed_bytes=size) if is_dropped else Removed()
