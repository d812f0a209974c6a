"""A run that is watched: what this process knows of it, shared by all its watchers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.domain.runs.event import EventRecord
from core.domain.runs.run import Run
from core.services.runs.status import StatusReport

# The newest events are kept for all watchers together.  A watcher that is further behind reads
# the rows again, so nobody has a queue of their own.
MAX_RECENT = 128


@dataclass(kw_only=True)
class WatchedRun:
    """One run, and what woke its watchers.

    Attributes:
        run: As last read.
        head: The id of its newest event that is known; `None` until it was read once.
        floor: All its events after this id, up to `head`, are in `recent`.
        report: Its newest status; `None` until somebody who watches statuses is here.
        report_at: When that was read, by the loop's clock.
        status_watchers: How many watch the status, too.
        is_queued: Whether a reader will read it in any case.
        error: The defect that ended the watching; raised in each watcher.
    """

    run: Run
    head: int | None = None
    floor: int = 0
    recent: deque[EventRecord] = field(default_factory=deque)
    report: StatusReport | None = None
    report_at: float = float("-inf")
    status_watchers: int = 0
    is_queued: bool = False
    error: Exception | None = None
    watchers: set[asyncio.Event] = field(default_factory=set)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended and its late facts (work, diff, outcome) are written."""
        return not self.run.is_live and not self.run.is_work_pending

    @property
    def is_report_due(self) -> bool:
        """Whether somebody watches the status, and the newest one is of an earlier version."""
        if self.status_watchers == 0:
            return False
        return self.report is None or self.report.run.version < self.run.version

    def begin(self, run: Run, head: int) -> None:
        """Take over what was read first."""
        self.run, self.head, self.floor = run, head, head

    def add(self, run: Run, events: Sequence[EventRecord]) -> bool:
        """Take over what was read later; returns whether anything is new."""
        is_new = bool(events) or run.version != self.run.version
        self.run = run
        for event in events:
            self.recent.append(event)
            self.head = event.id
            if len(self.recent) > MAX_RECENT:
                self.floor = self.recent.popleft().id
        return is_new

    def wake(self) -> None:
        """Wake all watchers."""
        for watcher in self.watchers:
            watcher.set()

    def fail(self, error: Exception) -> None:
        """End all watchers with an error."""
        self.error = error
        self.wake()
