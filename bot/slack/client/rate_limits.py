"""The rate limiter of all Slack calls of a process; it stays below Slack's own limits.

Slack counts calls per method, app and workspace (for chat.postMessage also per channel), so
every call of the process asks the same `RateLimiter` for a permit.  Permits are granted by
priority, then by age.  Callers decide what to send only after the permit, so that the newest
state is sent.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum

from bot.slack.client.rates import POSTS_OF_CHANNEL, RATES, TIER_3, Rate

# A Retry-After above this many seconds is a long limit: calls that would have to wait longer
# fail at once, so that their callers can do something else meanwhile.
LONG_WAIT_SECONDS = 60.0


class Priority(IntEnum):
    """The order in which waiting calls get permits; lower values first."""

    FINAL = 0
    ANSWER = 1
    STEP = 2
    IDLE = 3


_EPSILON_SECONDS = 1e-6


class LongWait(Exception):
    """No permit is granted for longer than `LONG_WAIT_SECONDS`.

    Attributes:
        seconds: How long.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no permit for {seconds:.0f} s")
        self.seconds = seconds


@dataclass
class _Bucket:
    """A token bucket; `blocked_until` is when Slack's own Retry-After is over."""

    rate: Rate
    tokens: float
    filled_at: float
    blocked_until: float = 0.0

    def fill(self, now: float) -> None:
        """Add the tokens for the time since the last call.

        None are earned while Slack blocks the calls: the first call after a block is alone.
        """
        earned = max(now - max(self.filled_at, self.blocked_until), 0.0) * self.rate.per_minute / 60
        self.tokens = min(float(self.rate.burst), self.tokens + earned)
        self.filled_at = now

    def wait(self, now: float) -> float:
        """Seconds until a call may be made; 0 if it may be made now."""
        self.fill(now)
        wait = max((1 - self.tokens) * 60 / self.rate.per_minute, self.blocked_until - now)
        # Ignore rounding errors.
        return 0.0 if wait < _EPSILON_SECONDS else wait


@dataclass(order=True)
class _Waiter:
    priority: int
    number: int
    buckets: tuple[str, ...] = field(compare=False)
    granted: asyncio.Future[None] = field(compare=False)


class Ticket:
    """A position in the queue for a permit; its priority can still be raised."""

    def __init__(self, rate_limiter: RateLimiter, waiter: _Waiter) -> None:
        self._rate_limiter = rate_limiter
        self._waiter = waiter

    def raise_to(self, priority: Priority) -> None:
        """Raise the priority, if `priority` is higher than the present one."""
        if priority < self._waiter.priority:
            self._rate_limiter.reprioritize(self._waiter, priority)

    @property
    def is_granted(self) -> bool:
        """Whether the permit was granted."""
        granted = self._waiter.granted
        return granted.done() and not granted.cancelled() and granted.exception() is None

    async def wait_granted(self) -> None:
        """Wait for the permit; a cancellation leaves the queue.

        Raises:
            LongWait: If Slack blocks the method for long; the call has left the queue.
        """
        try:
            await self._waiter.granted
        except asyncio.CancelledError:
            self._rate_limiter.withdraw(self._waiter)
            raise


class RateLimiter:
    """Grants permits for Slack calls.

    Args:
        now: A monotonic clock in seconds.
        sleep: Sleeps for a number of seconds.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._buckets: dict[str, _Bucket] = {}
        # Methods whose burst another process may have used up.
        self._started_empty: set[str] = set()
        self._waiting: list[_Waiter] = []
        self._sequence = itertools.count()
        self._dispatcher: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def enqueue(self, method: str, *, channel: str | None = None, priority: Priority) -> Ticket:
        """Queue for a permit to call `method`.

        Raises:
            LongWait: If Slack blocks the method, or its channel, for long.
        """
        blocked = self.blocked_seconds(method, channel=channel)
        if blocked > LONG_WAIT_SECONDS:
            raise LongWait(blocked)
        waiter = _Waiter(
            priority=priority,
            number=next(self._sequence),
            buckets=_buckets_of(method, channel),
            granted=asyncio.get_running_loop().create_future(),
        )
        heapq.heappush(self._waiting, waiter)
        self._dispatch()
        return Ticket(self, waiter)

    def blocked_seconds(self, method: str, *, channel: str | None = None) -> float:
        """How long Slack still blocks a method, or its channel; 0 if it does not."""
        now = self._now()
        blocks = (self._buckets.get(name) for name in _buckets_of(method, channel))
        return max((max(block.blocked_until - now, 0.0) for block in blocks if block), default=0.0)

    def must_wait(self, method: str) -> bool:
        """Whether a call of the lowest priority would get no permit now."""
        is_wanted = any(method in waiter.buckets for waiter in self._waiting)
        return is_wanted or self._bucket(method).wait(self._now()) > 0

    def has_spare_capacity(self, method: str) -> bool:
        """Whether no call waits and half of the burst is left, so that idle work may run."""
        bucket = self._bucket(method)
        bucket.fill(self._now())
        idle = not any(method in waiter.buckets for waiter in self._waiting)
        return (
            idle and bucket.blocked_until <= self._now() and bucket.tokens >= bucket.rate.burst / 2
        )

    def return_permit(self, method: str, *, channel: str | None = None) -> None:
        """Return a permit that was not used."""
        for name in _buckets_of(method, channel):
            bucket = self._bucket(name)
            bucket.tokens = min(float(bucket.rate.burst), bucket.tokens + 1)
        self._dispatch()

    def apply_retry_after(self, method: str, *, channel: str | None = None, seconds: float) -> None:
        """Grant no permits for this method (or channel) until a Retry-After has passed.

        The answer to a post does not say which limit was exceeded; the channel's is the lower one.
        After a long Retry-After the calls that wait for a permit get `LongWait`.
        """
        name = _buckets_of(method, channel)[-1]
        bucket = self._bucket(name)
        bucket.blocked_until = max(bucket.blocked_until, self._now() + seconds)
        bucket.tokens = 0.0
        if seconds > LONG_WAIT_SECONDS:
            for waiter in [waiter for waiter in self._waiting if name in waiter.buckets]:
                self._waiting.remove(waiter)
                if not waiter.granted.done():
                    waiter.granted.set_exception(LongWait(seconds))
            heapq.heapify(self._waiting)
        self._dispatch()

    def start_empty(self, method: str) -> None:
        """Start a method without its burst, which a previous process may have used up.

        Each channel still has one call: a first card should not wait for the unlikely case that
        the previous process had just posted there.
        """
        self._bucket(method).tokens = 0.0
        self._started_empty.add(method)
        for name, bucket in self._buckets.items():
            if name.startswith(f"{method}:"):
                bucket.tokens = min(bucket.tokens, 1.0)

    def reprioritize(self, waiter: _Waiter, priority: Priority) -> None:
        """Change the priority of a waiting call."""
        waiter.priority = priority
        heapq.heapify(self._waiting)
        self._dispatch()

    def withdraw(self, waiter: _Waiter) -> None:
        """Remove a cancelled call from the queue, or take back its unused permit."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            heapq.heapify(self._waiting)
        elif (
            waiter.granted.done()
            and not waiter.granted.cancelled()
            and waiter.granted.exception() is None
        ):
            for name in waiter.buckets:
                self._bucket(name).tokens += 1

    def _bucket(self, name: str) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            rate = POSTS_OF_CHANNEL if ":" in name else RATES.get(name, TIER_3)
            starts_empty = name.partition(":")[0] in self._started_empty
            tokens = 1.0 if starts_empty else float(rate.burst)
            bucket = _Bucket(rate=rate, tokens=tokens, filled_at=self._now())
            self._buckets[name] = bucket
        return bucket

    def _dispatch(self) -> None:
        self._grant_ready()
        self._changed.set()
        if self._waiting and (self._dispatcher is None or self._dispatcher.done()):
            self._dispatcher = asyncio.create_task(self._dispatch_loop(), name="slack rate limiter")

    def _grant_ready(self) -> float | None:
        """Grant all possible permits; return seconds until the next, `None` if no call waits."""
        now = self._now()
        still_waiting: list[_Waiter] = []
        nearest: float | None = None
        # If one call must wait for a bucket, those behind it must wait too.
        closed_buckets: set[str] = set()
        while self._waiting:
            waiter = heapq.heappop(self._waiting)
            if waiter.granted.done():
                continue
            buckets = [self._bucket(name) for name in waiter.buckets]
            wait = max(bucket.wait(now) for bucket in buckets)
            if wait > 0 or closed_buckets & set(waiter.buckets[-1:]):
                closed_buckets.add(waiter.buckets[-1])
                still_waiting.append(waiter)
                nearest = wait if nearest is None else min(nearest, wait)
                continue
            for bucket in buckets:
                bucket.tokens -= 1
            waiter.granted.set_result(None)
        self._waiting = still_waiting
        heapq.heapify(self._waiting)
        return nearest

    async def _dispatch_loop(self) -> None:
        while (wait := self._grant_ready()) is not None:
            self._changed.clear()
            sleeping = asyncio.ensure_future(self._sleep(wait))
            changing = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({sleeping, changing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
                changing.cancel()

    async def close(self) -> None:
        """Grant no more permits; waiting calls are cancelled."""
        for waiter in self._waiting:
            waiter.granted.cancel()
        self._waiting.clear()
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            await asyncio.wait({self._dispatcher})


def _buckets_of(method: str, channel: str | None) -> tuple[str, ...]:
    if method == "chat.postMessage" and channel is not None:
        return (method, f"{method}:{channel}")
    return (method,)
