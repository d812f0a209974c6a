"""A cache of what is composed for the status of runs.

It saves work only: with it or without it, an answer is the same.  What is kept for an ended run
is used only for the version of the run for which it was composed.  What is kept for a workflow
(its earlier runs, for estimates) is at most a minute old.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import timedelta
from time import monotonic
from typing import TypeVar

from cachetools import TTLCache

from core.domain.progress.enrichment import Enrichment
from core.domain.progress.estimate import PastRun
from core.domain.runs.run import Run

T = TypeVar("T")

# For the entry itself, in the two tables of the cache.
_ENTRY_BYTES = 400
_PAST_SHARE = 8


@dataclass(frozen=True, kw_only=True)
class CacheLimits:
    """The limits of the cache.

    Attributes:
        is_on: Whether anything is kept.
        max_bytes: The memory for ended runs; an eighth of it more for workflows.  The runs that
            were not asked for the longest are forgotten first.
        ttl: How long an ended run is kept.
        past_ttl: How old the earlier runs of a workflow may be.
    """

    is_on: bool = True
    max_bytes: int = 16_000_000
    ttl: timedelta = timedelta(minutes=10)
    past_ttl: timedelta = timedelta(minutes=1)


@dataclass(frozen=True)
class _Kept:
    version: int
    enrichment: Enrichment


@dataclass
class RecentRuns:
    """Keeps the enrichments of ended runs, and the earlier runs of workflows.

    Attributes:
        timer: The time in seconds, from any start.
    """

    limits: CacheLimits = field(default_factory=CacheLimits)
    timer: Callable[[], float] = monotonic

    def __post_init__(self) -> None:
        self._ended: TTLCache[str, _Kept] = TTLCache(
            self.limits.max_bytes,
            self.limits.ttl.total_seconds(),
            timer=self.timer,
            getsizeof=size_of,
        )
        self._past: TTLCache[str, Sequence[PastRun]] = TTLCache(
            self.limits.max_bytes // _PAST_SHARE,
            self.limits.past_ttl.total_seconds(),
            timer=self.timer,
            getsizeof=size_of,
        )

    @property
    def used_bytes(self) -> float:
        """About how much memory is in use."""
        return self._ended.currsize + self._past.currsize

    def get(self, run: Run) -> Enrichment | None:
        """What was composed for this version of the run, if it is kept."""
        kept = self._ended.get(run.run_id)
        return kept.enrichment if kept is not None and kept.version == run.version else None

    def put(self, run: Run, enrichment: Enrichment) -> None:
        """Keep what was composed for an ended run; for a live one it changes with time."""
        if run.status.is_final and not run.is_work_pending:
            self._put(self._ended, run.run_id, _Kept(run.version, enrichment))

    def past(self, workflow_name: str) -> Sequence[PastRun] | None:
        """The earlier runs of a workflow, if they are kept."""
        return self._past.get(workflow_name)

    def put_past(self, workflow_name: str, past: Sequence[PastRun]) -> None:
        """Keep the earlier runs of a workflow."""
        self._put(self._past, workflow_name, past)

    def _put(self, cache: TTLCache[str, T], key: str, value: T) -> None:
        if self.limits.is_on and size_of(value) <= cache.maxsize:
            cache[key] = value


def size_of(value: object) -> int:
    """About how many bytes of memory a value takes, with all that it refers to."""
    return _ENTRY_BYTES + _deep_size(value)


def _deep_size(value: object) -> int:
    size = sys.getsizeof(value)
    if is_dataclass(value):
        parts = [getattr(value, part.name) for part in fields(value)]
        return size + sum(_deep_size(part) for part in parts)
    if isinstance(value, tuple | list):
        return size + sum(_deep_size(part) for part in value)
    return size
