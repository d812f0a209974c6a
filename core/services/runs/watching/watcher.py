"""One watcher of a run: its place among the events, and what is new for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from core.domain.errors import Unavailable
from core.domain.runs.event import EventRecord
from core.domain.runs.run import Run
from core.services.runs.status import StatusReport
from core.services.runs.watching.watched_run import WatchedRun

# The most events that a watcher takes at a time, and so the most that it holds.
PAGE = 100
# Between tries to read while the database cannot be reached.
_RETRY_SECONDS = 1.0

ReadEvents = Callable[[Run, int, int], Awaitable[Sequence[EventRecord]]]


@dataclass(frozen=True, kw_only=True)
class News:
    """What is new for a watcher; usually one of these.

    Attributes:
        report: The newest status, if it is newer than the one before.
        events: The next events, oldest first.
        is_over: Whether the run has ended, and nothing will follow.
    """

    report: StatusReport | None = None
    events: Sequence[EventRecord] = ()
    is_over: bool = False


@dataclass(kw_only=True)
class Watcher:
    """Takes what is new of a run, each event once and in order, at its own pace.

    Attributes:
        after_id: The id of the last event that it took.
    """

    watched: WatchedRun
    read_events: ReadEvents
    after_id: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _version: int = 0

    @property
    def run(self) -> Run:
        """The run, as last read."""
        return self.watched.run

    @property
    def is_last(self) -> bool:
        """Whether nobody watches the run any more; for after the watching has ended."""
        return not self.watched.watchers

    @property
    def has_seen_all(self) -> bool:
        """Whether the run is over, and there is no event that the watcher has not taken."""
        return self.watched.is_over and self._has_all_events

    async def wait(self, seconds: float) -> bool:
        """Wait until something may be new; returns whether that happened within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        except TimeoutError:
            return False
        self.woken.clear()
        return True

    async def take(self) -> News | None:
        """The next news; `None` if there is none at present.

        While the database cannot be reached there is none either; the watcher is then woken later.

        Raises:
            Exception: The defect that ended the watching.
        """
        if self.watched.error is not None:
            raise self.watched.error
        report = self._new_report()
        if report is not None:
            return News(report=report)
        try:
            found = await self._next_events()
        except Unavailable:
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self.woken.set)
            return None
        if found:
            self.after_id = found[-1].id
            return News(events=found)
        report = self._new_report()
        if report is not None:
            return News(report=report)
        if self.has_seen_all and self._version >= self.watched.run.version:
            return News(is_over=True)
        return None

    @property
    def _has_all_events(self) -> bool:
        return self.watched.head is not None and self.after_id >= self.watched.head

    def _new_report(self) -> StatusReport | None:
        """The status if it is new; the last one comes after the last event."""
        report = self.watched.report
        if report is None or report.run.version <= self._version:
            return None
        if self._version and self.watched.is_over and not self._has_all_events:
            return None
        self._version = report.run.version
        return report

    async def _next_events(self) -> Sequence[EventRecord]:
        watched = self.watched
        if self._has_all_events:
            return ()
        if self.after_id < watched.floor:
            return await self.read_events(watched.run, self.after_id, PAGE)
        return [event for event in watched.recent if event.id > self.after_id][:PAGE]
