"""Watching of runs as they go on: their events and statuses, live and resumable.

One subscription to the feed serves all watchers of a process.  A change of a run that somebody
watches has its row and its new events read once, however many watch it; while nothing changes,
there is no query for any watcher.  The rows are the truth: after an outage, or for a watcher that
is slow, they are read again from where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from core.domain.actor import SYSTEM, Action, Actor
from core.domain.errors import Unavailable
from core.domain.feed import Change, ChangeKind
from core.domain.runs.event import EventRecord
from core.domain.runs.run import Run
from core.services.context import ServiceContext, require_permission
from core.services.feed import FeedService
from core.services.runs.status import StatusService
from core.services.runs.targets import find_run
from core.services.runs.watching.watched_run import MAX_RECENT, WatchedRun
from core.services.runs.watching.watcher import Watcher
from core.store import events
from core.store.runs import run_queries

log = logging.getLogger(__name__)

# A transaction that stays open delays the feed; then the versions of all watched runs, read with
# one query, tell of changes.
POLL = timedelta(seconds=5)
# A status takes several queries; one a second is as fast as people read.
STATUS_INTERVAL = timedelta(seconds=1)
# Runs that are read at the same time; each takes a connection of the pool.
_READERS = 3
_RETRY_SECONDS = 1.0


@dataclass
class RunWatchService:
    """Lets any number of watchers follow runs.

    The tasks behind it exist only while there are watchers.

    Attributes:
        poll: How often the versions of watched runs are compared without a hint.
        status_interval: The shortest time between two statuses of a run that goes on.
    """

    context: ServiceContext
    feed: FeedService
    statuses: StatusService
    poll: timedelta = POLL
    status_interval: timedelta = STATUS_INTERVAL
    _watched: dict[str, WatchedRun] = field(default_factory=dict)
    _queue: asyncio.Queue[WatchedRun] = field(default_factory=asyncio.Queue)
    _tasks: asyncio.Task[None] | None = None
    _is_reachable: bool = True

    @asynccontextmanager
    async def watch(
        self, target: str, *, by: Actor, after_id: int | None = None, has_status: bool = True
    ) -> AsyncIterator[Watcher]:
        """Watch a run for the duration of the block.

        Args:
            target: As in `StatusService.status`.
            by: The person who watches.
            after_id: The id of the last event that is known; 0 for all events, `None` for none of
                those before now.
            has_status: Whether to watch the status, too.

        Raises:
            RunNotFound: If no run has this id.
            AmbiguousRun: If several ids begin with the text.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
        watched = self._watched.setdefault(run.run_id, WatchedRun(run=run))
        watcher = Watcher(watched=watched, read_events=self._read_events, after_id=after_id or 0)
        # What is already there is news as well.
        watcher.woken.set()
        watched.watchers.add(watcher.woken)
        watched.status_watchers += has_status
        if self._tasks is None or self._tasks.done():
            self._tasks = asyncio.create_task(self._run(), name="watch runs")
        try:
            await self._begin(watched, watcher, after_id)
            yield watcher
        finally:
            watched.watchers.discard(watcher.woken)
            watched.status_watchers -= has_status
            if not watched.watchers:
                self._forget(watched)
            if not self._watched:
                await self._stop()

    async def wait_for_change(self, run: Run, *, by: Actor, seconds: float) -> None:
        """Wait until a run has another version than the given one, at most for `seconds`.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        try:
            async with (
                asyncio.timeout(seconds),
                self.watch(run.run_id, by=by, has_status=False) as watcher,
            ):
                while watcher.run.version == run.version and watcher.watched.error is None:
                    await watcher.wait(seconds)
        except TimeoutError:
            return

    def _forget(self, watched: WatchedRun) -> None:
        name = watched.run.run_id
        if self._watched.get(name) is watched:
            del self._watched[name]

    async def _stop(self) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel()
            await asyncio.wait({tasks})

    async def _begin(self, watched: WatchedRun, watcher: Watcher, after_id: int | None) -> None:
        """Read what a new watcher begins with."""
        await self._read(watched, only_if_new=True)
        if watched.status_watchers and watched.report is None:
            await self._read_report(watched)
        if after_id is None:
            watcher.after_id = watched.head or 0
        elif after_id > (watched.head or 0):
            # Another process was ahead of this one, or the events are of another database.
            await self._read(watched)
            if after_id > (watched.head or 0):
                watcher.after_id = 0

    async def _read_events(self, run: Run, after_id: int, limit: int) -> Sequence[EventRecord]:
        async with self.context.transaction() as session:
            return await events.of_run(session, run.id, after_id=after_id, limit=limit)

    # --- the tasks

    async def _run(self) -> None:
        """Keep what is watched up to date, until cancelled.  A defect ends all watchers."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(), name="watch runs: listen")
                group.create_task(self._poll(), name="watch runs: poll")
                for number in range(_READERS):
                    group.create_task(self._read_queue(), name=f"watch runs: reader {number}")
        except Exception as error:
            log.exception("no run is watched any more", extra={"event": "watch.stopped"})
            for watched in list(self._watched.values()):
                self._forget(watched)
                watched.fail(error)

    async def _listen(self) -> None:
        while True:
            try:
                async with self.feed.subscribe(kinds={ChangeKind.RUN}) as changes:
                    async for item in changes:
                        if isinstance(item, Change):
                            self._request(self._watched.get(item.subject))
                        else:
                            self._request(*self._watched.values())
            except Exception as error:
                # Until there is a new one, the poll finds what has changed.
                log.warning(
                    "runs are watched without the feed",
                    exc_info=error,
                    extra={"event": "watch.feed_lost"},
                )
            await asyncio.sleep(_RETRY_SECONDS)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.poll.total_seconds())
            names = [name for name, watched in self._watched.items() if not watched.is_over]
            if not names:
                continue
            try:
                async with self.context.transaction() as session:
                    versions = await run_queries.versions(session, names)
            except Unavailable:
                # The next poll tries again.
                continue
            for name, version in versions.items():
                watched = self._watched.get(name)
                if watched is not None and watched.run.version != version:
                    self._request(watched)

    def _request(self, *wanted: WatchedRun | None) -> None:
        """Have runs read soon; one reading serves all requests before it."""
        for watched in wanted:
            if watched is not None and not watched.is_queued:
                watched.is_queued = True
                self._queue.put_nowait(watched)

    async def _read_queue(self) -> None:
        while True:
            watched = await self._queue.get()
            watched.is_queued = False
            if not watched.watchers:
                continue
            try:
                await self._update(watched)
            except Unavailable as error:
                if self._is_reachable:
                    log.warning(
                        "watched runs cannot be read: %s",
                        error,
                        extra={"event": "watch.read_failed"},
                    )
                self._is_reachable = False
                self._request_later(watched, _RETRY_SECONDS)
            except Exception as error:
                log.exception(
                    "%s is not watched any more",
                    watched.run.run_id,
                    extra={"event": "watch.failed", "run_id": watched.run.run_id},
                )
                self._forget(watched)
                watched.fail(error)
            else:
                self._is_reachable = True

    def _request_later(self, watched: WatchedRun, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._request, watched)

    async def _update(self, watched: WatchedRun) -> None:
        await self._read(watched)
        if not watched.is_report_due:
            return
        due_at = watched.report_at + self.status_interval.total_seconds()
        early = due_at - asyncio.get_running_loop().time()
        if early > 0 and not watched.is_over:
            self._request_later(watched, early)
        else:
            await self._read_report(watched)

    async def _read(self, watched: WatchedRun, *, only_if_new: bool = False) -> None:
        """Read the row and the new events, and wake the watchers if anything is new."""
        async with watched.reading:
            is_first = watched.head is None
            if only_if_new and not is_first:
                return
            while True:
                # The row first: then the events of all that it says are read, too.
                async with self.context.transaction() as session:
                    run = await run_queries.get_by_uuid(session, watched.run.id)
                    if watched.head is None:
                        watched.begin(run, await events.newest_id(session, run.id))
                        break
                    found = await events.of_run(
                        session, run.id, after_id=watched.head, limit=MAX_RECENT
                    )
                if watched.add(run, found):
                    watched.wake()
                if len(found) < MAX_RECENT:
                    break

    async def _read_report(self, watched: WatchedRun) -> None:
        watched.report = await self.statuses.status(watched.run.run_id, by=SYSTEM)
        watched.report_at = asyncio.get_running_loop().time()
        watched.wake()
