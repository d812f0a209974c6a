"""A cache of the statuses of runs.

It saves work only: with it or without it, an answer is the same.  What was answered about an ended
run is used only while its row is the one that the answer was made of.  What is kept for a workflow
(its earlier runs, for estimates) is at most a minute old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import timedelta
from operator import itemgetter
from sys import getsizeof
from time import monotonic

from cachetools import TTLCache

from core.domain.progress.estimate import PastRun
from core.domain.runs.run import Run
from core.store.runs.status_read import RowMark

# For the entry itself, in the two tables of the cache.
_ENTRY_BYTES = 400
# For an answer beside its bytes: its key, its mark and its form.
_ANSWER_BYTES = 600
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
class AnswerForm:
    """What was asked for about a run.

    Attributes:
        name: A word of the surface.
        edition: Of the program that answers: answers in this form are stored, and used by programs
            of the same edition.  `None` for a form whose answers are kept in this process only.
    """

    name: str
    edition: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeptAnswer:
    """The status of an ended run, as a surface wrote it.

    Attributes:
        mark: Of the run's row of which it was made.
        written: What was answered.
        etag: The surface's mark of the answer.
    """

    mark: RowMark
    written: bytes
    etag: str


@dataclass
class RecentRuns:
    """Keeps the answers about ended runs, and the earlier runs of workflows.

    Attributes:
        timer: The time in seconds, from any start.
    """

    limits: CacheLimits = field(default_factory=CacheLimits)
    timer: Callable[[], float] = monotonic

    def __post_init__(self) -> None:
        # An answer with its size, which is measured once; so are the earlier runs.
        self._ended: TTLCache[tuple[str, AnswerForm], tuple[KeptAnswer, int]] = TTLCache(
            self.limits.max_bytes,
            self.limits.ttl.total_seconds(),
            timer=self.timer,
            getsizeof=itemgetter(1),
        )
        self._past: TTLCache[str, tuple[Sequence[PastRun], int]] = TTLCache(
            self.limits.max_bytes // _PAST_SHARE,
            self.limits.past_ttl.total_seconds(),
            timer=self.timer,
            getsizeof=itemgetter(1),
        )

    @property
    def used_bytes(self) -> float:
        """About how much memory is in use."""
        return self._ended.currsize + self._past.currsize

    def get(self, run_id: str, form: AnswerForm) -> KeptAnswer | None:
        """What was answered about a run in a form, if it is kept."""
        kept = self._ended.get((run_id, form))
        return None if kept is None else kept[0]

    def put(self, run: Run, form: AnswerForm, answer: KeptAnswer) -> None:
        """Keep what was answered about an ended run; about a live one it changes with time."""
        if not run.status.is_final or run.is_work_pending:
            return
        size = _ENTRY_BYTES + _ANSWER_BYTES + len(answer.written)
        if self.limits.is_on and size <= self._ended.maxsize:
            self._ended[run.run_id, form] = answer, size

    def past(self, workflow_name: str) -> Sequence[PastRun] | None:
        """The earlier runs of a workflow, if they are kept."""
        kept = self._past.get(workflow_name)
        return None if kept is None else kept[0]

    def put_past(self, workflow_name: str, past: Sequence[PastRun]) -> None:
        """Keep the earlier runs of a workflow."""
        size = size_of(past)
        if self.limits.is_on and size <= self._past.maxsize:
            self._past[workflow_name] = past, size


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
