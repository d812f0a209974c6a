"""Views of a run's log: which of its lines are shown, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.domain.runs.event import EventRecord

# Lines of a chunk: what is read, sent and kept at a time.
CHUNK_LINES = 200
# More hits than anybody steps through.
MAX_HITS = 10_000
MAX_QUERY_CHARS = 200


class LogFilter(StrEnum):
    """Which lines of a log are shown."""

    ALL = "all"
    FAILED = "failed"
    TOOLS = "tools"
    AGENT = "agent"
    PEOPLE = "people"


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """A line of a log: one event of the run.

    Attributes:
        number: Its place among all lines of the run, from 1; it never changes.
    """

    number: int
    event: EventRecord


@dataclass(frozen=True, kw_only=True)
class LogSize:
    """How long a log is now.

    Attributes:
        lines: All lines of the run.
        shown: Those that the filter leaves.
    """

    lines: int
    shown: int


@dataclass(frozen=True, kw_only=True)
class LogChunk:
    """A part of a view of a log.

    Attributes:
        number: From 0.
        is_complete: Whether no line can be added to it any more.
    """

    number: int
    size: LogSize
    lines: Sequence[LogLine]
    is_complete: bool


@dataclass(frozen=True, kw_only=True)
class LogHits:
    """The lines of a view that contain a text.

    Attributes:
        places: Their places in the view, from 1, ascending.
        are_all: Whether no others contain it; at most `MAX_HITS` are looked for.
    """

    places: Sequence[int]
    are_all: bool = True

    @property
    def count(self) -> int:
        """How many were found."""
        return len(self.places)
