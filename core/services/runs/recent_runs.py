"""A cache of what is composed for the status of runs.

It saves work only: with it or without it, an answer is the same.  What is kept for an ended run
is used only for the version of the run for which it was composed.  What is kept for a workflow
(its earlier runs, for estimates) is at most a minute old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import timedelta
from sys import getsizeof
from time import monotonic
from typing import Any, Generic, TypeVar

from cachetools import TTLCache

from core.domain.progress.enrichment import Enrichment
from core.domain.progress.estimate import PastRun
from core.domain.runs.run import Run

T = TypeVar("T")

# For the entry itself, in the two tables of the cache.
_ENTRY_BYTES = 400
# For what keeps the size of a value.
_KEPT_BYTES = 200
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
class _Kept(Generic[T]):
    """A value with its size, which is measured once.

    Attributes:
        version: Of the run; 0 for what belongs to no run.
    """

    version: int
    value: T
    size: int


@dataclass
class RecentRuns:
    """Keeps the enrichments of ended runs, and the earlier runs of workflows.

    Attributes:
        timer: The time in seconds, from any start.
    """

    limits: CacheLimits = field(default_factory=CacheLimits)
    timer: Callable[[], float] = monotonic

    def __post_init__(self) -> None:
        self._ended: TTLCache[str, _Kept[Enrichment]] = TTLCache(
            self.limits.max_bytes,
            self.limits.ttl.total_seconds(),
            timer=self.timer,
            getsizeof=_kept_size,
        )
        self._past: TTLCache[str, _Kept[Sequence[PastRun]]] = TTLCache(
            self.limits.max_bytes // _PAST_SHARE,
            self.limits.past_ttl.total_seconds(),
            timer=self.timer,
            getsizeof=_kept_size,
        )

    @property
    def used_bytes(self) -> float:
        """About how much memory is in use."""
        return self._ended.currsize + self._past.currsize

    def get(self, run: Run) -> Enrichment | None:
        """What was composed for this version of the run, if it is kept."""
        kept = self._ended.get(run.run_id)
        return kept.value if kept is not None and kept.version == run.version else None

    def version_of(self, run_id: str) -> int | None:
        """The version of the run for which something is kept."""
        kept = self._ended.get(run_id)
        return None if kept is None else kept.version

    def put(self, run: Run, enrichment: Enrichment) -> None:
        """Keep what was composed for an ended run; for a live one it changes with time."""
        if run.status.is_final and not run.is_work_pending:
            self._put(self._ended, run.run_id, enrichment, run.version)

    def past(self, workflow_name: str) -> Sequence[PastRun] | None:
        """The earlier runs of a workflow, if they are kept."""
        kept = self._past.get(workflow_name)
        return None if kept is None else kept.value

    def put_past(self, workflow_name: str, past: Sequence[PastRun]) -> None:
        """Keep the earlier runs of a workflow."""
        self._put(self._past, workflow_name, past)

    def _put(self, kept: TTLCache[str, _Kept[T]], key: str, value: T, version: int = 0) -> None:
        if not self.limits.is_on:
            return
        size = size_of(value)
        if size + _KEPT_BYTES <= kept.maxsize:
            kept[key] = _Kept(version, value, size)


def _kept_size(kept: _Kept[Any]) -> int:
    return kept.size + _KEPT_BYTES


def size_of(value: object) -> int:
    """About how many bytes of memory a value takes, with all that it refers to."""
    size, pending = _ENTRY_BYTES, [value]
    while pending:
        one = pending.pop()
        if one is None:
            continue
        size += getsizeof(one)
        if isinstance(one, str | int | float):
            # Most parts are; to find out more takes longer than to add them.
            continue
        if isinstance(one, tuple | list):
            pending += one
        elif is_dataclass(one):
            pending += vars(one).values()
    return size
