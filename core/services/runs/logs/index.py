"""Where the lines of a log are: places at which its chunks end, counted on as the run goes on."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from uuid import UUID

from core.domain.runs.log_view import LogFilter, LogSize
from core.store import log_views
from core.store.database.direct import DirectReads
from core.store.log_views import Mark

_START = Mark(id=0, line=0)


@dataclass(eq=False)
class LogIndex:
    """Of one view of one run's log: sixteen bytes for each chunk.

    Attributes:
        end: The end of the log when it was read last.
        shown: How many lines are shown up to there.
    """

    run: UUID
    view: LogFilter
    end: Mark = _START
    shown: int = 0
    # The id and the number of the last line of each complete chunk.
    _ids: array[int] = field(default_factory=lambda: array("q"))
    _lines: array[int] = field(default_factory=lambda: array("q"))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def size(self) -> LogSize:
        """How long the log is."""
        return LogSize(lines=self.end.line, shown=self.shown)

    @property
    def complete_count(self) -> int:
        """How many chunks are complete."""
        return len(self._ids)

    async def extend(self, reads: DirectReads) -> None:
        """Count what was added since."""
        async with self._lock:
            grown = await log_views.growth(
                reads, self.run, self.view, since=self.end, shown=self.shown
            )
            if grown is None:
                return
            self._ids.extend(mark.id for mark in grown.marks)
            self._lines.extend(mark.line for mark in grown.marks)
            self.shown += grown.shown
            self.end = grown.end

    def bounds(self, chunk: int) -> tuple[Mark, Mark]:
        """The places between which a chunk's lines are."""
        return self._end_of(chunk - 1), self._end_of(chunk)

    def chunk_of(self, line: int) -> int:
        """The chunk with a line, or with the next one that is shown."""
        return bisect_left(self._lines, line)

    def _end_of(self, chunk: int) -> Mark:
        if chunk < 0:
            return _START
        if chunk >= len(self._ids):
            return self.end
        return Mark(id=self._ids[chunk], line=self._lines[chunk])
