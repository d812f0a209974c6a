"""Retention of transcripts: that of a session goes as a whole, once it has been at rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from core.domain.retention import Removed
from core.services.context import ServiceContext
from core.services.retention.partitions import PartitionService
from core.store.partitions import partitions
from core.store.partitions.tables import TRANSCRIPTS, Partition
from core.store.retention import transcripts
from core.store.retention.transcripts import SessionStates

# Sessions that are looked at in one query.
_PAGE = 500
# Sessions whose transcripts are deleted, or moved, in one transaction.
_BATCH = 5


@dataclass(frozen=True)
class TranscriptRetention:
    """Removes the transcripts of sessions at rest.

    A month in which some session stays would stay as large as it was.  So the entries of such
    sessions are moved to the month of their newest entry, once the month has expired, and then
    the month is dropped.
    """

    context: ServiceContext
    partitions: PartitionService

    async def remove(self, before: datetime) -> Removed:
        """Remove the transcripts of the sessions that have been at rest since before a time."""
        async with self.context.transaction() as session:
            present = await partitions.list_partitions(session, TRANSCRIPTS)
        removed = Removed()
        for partition in present:
            if partition.first is not None and partition.first >= before:
                continue
            removed += await self._empty(partition, before)
            if partition.until is not None and partition.until <= before:
                removed += await self._drop(partition)
        return removed

    async def _empty(self, partition: Partition, before: datetime) -> Removed:
        """Delete what has expired of a partition, and move away what stays if the month has."""
        is_past = partition.until is not None and partition.until <= before
        removed = Removed()
        async for page in self._pages(partition, before):
            for batch in _batches(page.resting):
                async with self.context.transaction() as session:
                    locked = await transcripts.lock(session, batch)
                    # A run may have been added since they were looked at.
                    still = (await transcripts.states(session, locked, before=before)).resting
                    if still:
                        removed += Removed(rows=await transcripts.delete(session, still))
            for batch in _batches([*page.live, *page.recent] if is_past else ()):
                async with self.context.transaction() as session:
                    moved = await transcripts.move(session, partition, batch)
                removed += Removed(moved=moved)
        return removed

    async def _pages(self, partition: Partition, before: datetime) -> AsyncIterator[SessionStates]:
        after = ""
        while True:
            async with self.context.transaction() as session:
                found = await transcripts.sessions_in(session, partition, after=after, limit=_PAGE)
                states = await transcripts.states(session, found, before=before)
            if found:
                yield states
            if len(found) < _PAGE:
                return
            after = found[-1]

    async def _drop(self, partition: Partition) -> Removed:
        """Drop a month that is empty; nobody adds entries to one that is past."""
        async with self.context.transaction() as session:
            if not await transcripts.is_empty(session, partition):
                return Removed()
            size = await partitions.size_bytes(session, partition)
        is_dropped = await self.partitions.try_often(partial(partitions.drop, partition=partition))
        return Removed(months=1, freed_bytes=size) if is_dropped else Removed()


def _batches(sessions: Sequence[str]) -> list[Sequence[str]]:
    return [sessions[start : start + _BATCH] for start in range(0, len(sessions), _BATCH)]
