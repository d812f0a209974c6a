"""The feed of changes: one reader per process serves all subscribers.

A subscriber gets each change that matches its filter exactly once, in order.  Where that cannot
be guaranteed, it gets a `Reset` instead: at the start, after a position that is too old or from
another database, and when it consumes changes more slowly than they arrive.  NOTIFY only wakes
the reader; a slow poll covers lost notifications.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from core.domain.errors import Unavailable
from core.domain.feed import Change, ChangeKind, Position, Reset, ResetReason
from core.services.context import ServiceContext
from core.store import changes
from core.store.changes import FeedBounds
from core.store.database.engine import translate_errors
from core.store.database.listen import ChangeListener, listen

log = logging.getLogger(__name__)

# Usually the reader notices a lost connection at once; polling covers the other cases.
POLL = timedelta(seconds=15)
# Older changes are deleted; a subscriber that resumes from before that gets a `Reset`.
RETENTION = timedelta(days=1)
# A subscriber with more unconsumed changes gets a `Reset` instead of them.
MAX_QUEUED = 1000
_PAGE = 500
# Hints can come in hundreds per second; one read serves all hints before it.
_READ_GAP_SECONDS = 0.05
_RETRY_SECONDS = 1.0
# Between polls while changes wait for an older transaction, which usually takes milliseconds.
_MIN_UNSETTLED_SECONDS = 0.02
_MAX_UNSETTLED_SECONDS = 1.0


class Subscription:
    """The queue of one subscriber: an endless iterator of changes and resets."""

    def __init__(
        self,
        *,
        after: Position | None,
        kinds: frozenset[ChangeKind] | None,
        subjects: frozenset[str] | None,
        max_queued: int,
    ) -> None:
        self.after = after
        self.kinds = kinds
        self.subjects = subjects
        self._max_queued = max_queued
        self._queue: deque[Change | Reset] = deque()
        self._filled = asyncio.Event()
        self._error: BaseException | None = None

    def __aiter__(self) -> AsyncIterator[Change | Reset]:
        return self

    async def __anext__(self) -> Change | Reset:
        """Wait for the next change, or for a `Reset`.

        Raises:
            Exception: The error that ended the reader; raised once the queue is empty.
        """
        while not self._queue:
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        return self._queue.popleft()

    def put(self, change: Change) -> None:
        """Queue a change if it matches the filter and comes after the start position."""
        if self.after is not None and change.position <= self.after:
            return
        if self.kinds is not None and change.kind not in self.kinds:
            return
        if self.subjects is not None and change.subject not in self.subjects:
            return
        if len(self._queue) >= self._max_queued:
            self.reset(change.position, ResetReason.OVERRUN)
            return
        self._queue.append(change)
        self._filled.set()

    def reset(self, position: Position, reason: ResetReason) -> None:
        """Replace the queue with a `Reset`: the subscriber must read everything again."""
        self.after = None
        self._queue.clear()
        self._queue.append(Reset(position=position, reason=reason))
        self._filled.set()

    def fail(self, error: BaseException) -> None:
        """Raise the reader's error in the subscriber once its queue is empty."""
        self._error = error
        self._filled.set()


@dataclass
class FeedService:
    """Delivers committed changes to any number of subscribers.

    The reader and its connection exist only while there are subscribers.

    Attributes:
        poll: How often the reader polls without a notification.
        max_queued: The largest number of unconsumed changes per subscriber.
    """

    context: ServiceContext
    poll: timedelta = POLL
    max_queued: int = MAX_QUEUED
    _subscriptions: list[Subscription] = field(default_factory=list)
    _joining: list[Subscription] = field(default_factory=list)
    _reader: asyncio.Task[None] | None = None
    _wake_up: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def subscribe(
        self,
        *,
        after: Position | None = None,
        kinds: Collection[ChangeKind] | None = None,
        subjects: Collection[str] | None = None,
    ) -> AsyncIterator[Subscription]:
        """Subscribe for the duration of the block.

        Args:
            after: The position to resume after; `None` starts now, with a `Reset`.
            kinds: Deliver only these kinds; `None` means all.
            subjects: Deliver only changes of these subjects; `None` means all.
        """
        subscription = Subscription(
            after=after,
            kinds=None if kinds is None else frozenset(kinds),
            subjects=None if subjects is None else frozenset(subjects),
            max_queued=self.max_queued,
        )
        self._joining.append(subscription)
        self._wake_up.set()
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._run(), name="feed")
        try:
            yield subscription
        finally:
            for subscribers in (self._joining, self._subscriptions):
                if subscription in subscribers:
                    subscribers.remove(subscription)
            if not self._joining and not self._subscriptions:
                await self._stop()

    async def _stop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.wait({reader})

    async def _run(self) -> None:
        """Read until cancelled.  An unexpected error is passed on to all subscribers."""
        try:
            async with listen(self.context.database.dsn, changes.CHANNEL, poll=self.poll) as hints:
                listener = asyncio.create_task(self._receive_hints(hints), name="feed hints")
                reader = asyncio.create_task(self._read(), name="feed reader")
                try:
                    await asyncio.wait({listener, reader}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    listener.cancel()
                    reader.cancel()
                    await asyncio.wait({listener, reader})
                for task in (listener, reader):
                    if not task.cancelled():
                        task.result()
        except Exception as error:
            log.exception("the feed of changes ended", extra={"event": "feed.failed"})
            for subscription in (*self._joining, *self._subscriptions):
                subscription.fail(error)

    async def _receive_hints(self, hints: ChangeListener) -> None:
        async for _ in hints:
            self._wake_up.set()

    async def _read(self) -> None:
        """Read from the current position on, and resume after each outage."""
        position: Position | None = None
        while True:
            try:
                position = await self._resume(position)
                unsettled_seconds = _MIN_UNSETTLED_SECONDS
                while True:
                    await self._admit(position)
                    before = position
                    position, has_unsettled = await self._deliver(position)
                    if position != before or not has_unsettled:
                        unsettled_seconds = _MIN_UNSETTLED_SECONDS
                    else:
                        unsettled_seconds = min(unsettled_seconds * 2, _MAX_UNSETTLED_SECONDS)
                    await self._wait(unsettled_seconds if has_unsettled else None)
            except Unavailable as error:
                log.warning(
                    "the feed of changes cannot be read: %s",
                    error,
                    extra={"event": "feed.read_failed"},
                )
                await asyncio.sleep(_RETRY_SECONDS)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for a hint, at most for `seconds`; `None` means without a limit.

        The limit is for unsettled changes: the older transaction that they wait for may end
        without a change, and so without a hint.
        """
        await asyncio.sleep(_READ_GAP_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._wake_up.wait()
        except TimeoutError:
            return
        self._wake_up.clear()

    async def _resume(self, position: Position | None) -> Position:
        """The position to read from; if changes are missing, all subscribers get a `Reset`."""
        bounds = await self._bounds()
        if position is None:
            return bounds.horizon
        reason = _gap(position, bounds)
        if reason is None:
            return position
        for subscription in self._subscriptions:
            subscription.reset(bounds.horizon, reason)
        return bounds.horizon

    async def _admit(self, position: Position) -> None:
        """Bring new subscribers up to the position of the reader."""
        while self._joining:
            subscription = self._joining[0]
            if subscription.after is None:
                subscription.reset(position, ResetReason.STARTED)
            else:
                await self._catch_up(subscription, subscription.after, position)
            # The subscriber may have left in the meantime.
            if subscription in self._joining:
                self._joining.remove(subscription)
                self._subscriptions.append(subscription)

    async def _catch_up(self, subscription: Subscription, after: Position, until: Position) -> None:
        reason = _gap(after, await self._bounds())
        if reason is not None:
            subscription.reset(until, reason)
            return
        with translate_errors():
            page = await changes.read_after(
                self.context.database.reads,
                after,
                limit=self.max_queued + 1,
                kinds=subscription.kinds,
                subjects=subscription.subjects,
            )
        if len(page.changes) > self.max_queued:
            subscription.reset(until, ResetReason.OVERRUN)
            return
        for change in page.changes:
            # The reader delivers the later changes.
            if change.position <= until:
                subscription.put(change)

    async def _deliver(self, position: Position) -> tuple[Position, bool]:
        """Deliver the settled changes after a position to all subscribers.

        Returns:
            The new position, and whether committed changes wait for an older transaction.
        """
        while True:
            with translate_errors():
                page = await changes.read_after(self.context.database.reads, position, limit=_PAGE)
            for change in page.changes:
                for subscription in self._subscriptions:
                    subscription.put(change)
                position = change.position
            if page.has_unsettled or len(page.changes) < _PAGE:
                return position, page.has_unsettled

    async def _bounds(self) -> FeedBounds:
        async with self.context.transaction() as session:
            return await changes.bounds(session, retention=RETENTION)


def _gap(position: Position, bounds: FeedBounds) -> ResetReason | None:
    """Why changes after a position may be missing; `None` if none is missing."""
    if position.epoch != bounds.horizon.epoch or position.transaction > bounds.horizon.transaction:
        return ResetReason.OTHER_DATABASE
    if bounds.deleted_before is not None and position < bounds.deleted_before:
        return ResetReason.EXPIRED
    return None
