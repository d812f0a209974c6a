"""What the dashboard and the API read of the logs of runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from core.domain.actor import Actor
from core.domain.runs.event import EventKind
from core.domain.runs.log_view import LogChunk, LogFilter, LogHits, LogSize
from core.domain.runs.run import Run


class LogReader(Protocol):
    """Reads logs in parts; see `RunLogService`."""

    async def size(self, target: str, view: LogFilter, *, by: Actor) -> tuple[Run, LogSize]:
        """The run, and how long its log is now."""
        ...

    async def chunk(
        self, target: str, view: LogFilter, number: int, *, by: Actor
    ) -> tuple[Run, LogChunk]:
        """The run, and a chunk of its log."""
        ...

    async def hits(
        self,
        target: str,
        view: LogFilter,
        text: str,
        *,
        named: Collection[EventKind] = (),
        by: Actor,
    ) -> LogHits:
        """The lines that contain a text."""
        ...

    async def place_of(self, target: str, view: LogFilter, line: int, *, by: Actor) -> int:
        """The place in a view of a line, or of the next one that is shown."""
        ...
