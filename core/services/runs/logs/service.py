"""Logs of runs for people who read them: in chunks, by filter, and by what they look for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from cachetools import LRUCache

from core.domain.actor import Action, Actor
from core.domain.runs.event import EventKind
from core.domain.runs.log_view import CHUNK_LINES, LogChunk, LogFilter, LogHits, LogSize
from core.domain.runs.run import Run
from core.services.context import ServiceContext, require_permission
from core.services.runs.logs.index import LogIndex
from core.services.runs.targets import find_run
from core.store import log_views
from core.store.database.direct import DirectReads
from core.store.database.engine import translate_errors

# Of views that are looked at; an index of a million lines has 80 kB.
_MAX_INDEXES = 128


@dataclass(frozen=True)
class RunLogService:
    """Reads logs.  Each method names the run as `StatusService.status` does.

    Each raises `RunNotFound`, `NotAllowed` and `Unavailable`.
    """

    context: ServiceContext
    _indexes: LRUCache[tuple[UUID, LogFilter], LogIndex] = field(
        default_factory=lambda: LRUCache(maxsize=_MAX_INDEXES)
    )

    async def size(self, target: str, view: LogFilter, *, by: Actor) -> tuple[Run, LogSize]:
        """The run, and how long its log is now."""
        run, index = await self._open(target, view, by)
        return run, index.size

    async def chunk(
        self, target: str, view: LogFilter, number: int, *, by: Actor
    ) -> tuple[Run, LogChunk]:
        """The run, and a chunk of its log; one after the end has no lines."""
        run, index = await self._open(target, view, by, complete_before=number)
        after, until = index.bounds(number)
        is_complete, size = number < index.complete_count, index.size
        with translate_errors():
            lines = await log_views.chunk(self._reads, run.id, view, after=after, until=until)
        return run, LogChunk(number=number, size=size, lines=lines, is_complete=is_complete)

    async def hits(
        self,
        target: str,
        view: LogFilter,
        text: str,
        *,
        named: Collection[EventKind] = (),
        by: Actor,
    ) -> LogHits:
        """The lines that contain a text, in upper or lower case.

        Args:
            target: As in `StatusService.status`.
            view: Which lines are shown.
            text: What to look for.
            named: Kinds whose own words contain the text.
            by: The person who asks.
        """
        run, index = await self._open(target, view, by)
        with translate_errors():
            return await log_views.hits(
                self._reads, run.id, view, text, until=index.end, named=named
            )

    async def place_of(self, target: str, view: LogFilter, line: int, *, by: Actor) -> int:
        """The place in a view of a line, or of the next one that is shown; 0 if none is."""
        run, index = await self._open(target, view, by)
        if view is LogFilter.ALL:
            return min(line, index.shown)
        chunk = index.chunk_of(line)
        after, until = index.bounds(chunk)
        before = chunk * CHUNK_LINES
        with translate_errors():
            lines = await log_views.chunk(self._reads, run.id, view, after=after, until=until)
        found = sum(one.number < line for one in lines) + 1
        return min(before + found, index.shown)

    @property
    def _reads(self) -> DirectReads:
        return self.context.database.reads

    async def _open(
        self, target: str, view: LogFilter, by: Actor, *, complete_before: int | None = None
    ) -> tuple[Run, LogIndex]:
        """The run, and the index of a view, as new as it must be.

        Args:
            target: As in `StatusService.status`.
            view: Which lines are shown.
            by: The person who asks.
            complete_before: A chunk that is all that is needed; if it is known to be complete,
                nothing is counted.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
        key = (run.id, view)
        index = self._indexes.get(key)
        if index is None:
            index = self._indexes[key] = LogIndex(run.id, view)
        if complete_before is None or complete_before >= index.complete_count:
            with translate_errors():
                await index.extend(self._reads)
        return run, index
