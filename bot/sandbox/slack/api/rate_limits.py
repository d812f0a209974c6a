"""Slack's rate limits: per method by tier, and one message a second in each channel.

Slack guarantees these numbers of calls in any 60 seconds for each method.  The real limits
are sometimes higher, never lower.
"""

import math
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType

PER_MINUTE: Mapping[int, int] = MappingProxyType({1: 1, 2: 20, 3: 50, 4: 100})

# Tier 5 is "special": hundreds a minute for cheap methods; for posting, a cap of the whole
# workspace in addition to the cap of each channel.
SPECIAL_PER_MINUTE: Mapping[str, int] = MappingProxyType(
    {
        "assistant.threads.setStatus": 600,
        "auth.test": 600,
        "chat.getPermalink": 600,
        "chat.postMessage": 300,
    }
)

POSTS_PER_SECOND = 1.0
POST_BURST = 3


class Window:
    """At most `count` calls in any 60 seconds."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._calls: deque[float] = deque()

    def take(self, now: float) -> float:
        """Count a call and return 0; or return the seconds until one is allowed, uncounted."""
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        if len(self._calls) >= self._count:
            return self._calls[0] + 60 - now
        self._calls.append(now)
        return 0.0


class Bucket:
    """A token bucket: a burst, then a steady rate."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._rate = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._updated_at = -math.inf

    def take(self, now: float) -> float:
        """Count a call and return 0; or return the seconds until one is allowed, uncounted."""
        if self._updated_at > -math.inf:
            self._tokens = min(self._burst, self._tokens + (now - self._updated_at) * self._rate)
        self._updated_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class RateLimits:
    """The rate limits of one app in one workspace; `enabled` switches them on or off."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._windows: dict[str, Window] = {}
        self._channels: dict[str, Bucket] = {}

    def retry_after(self, method: str, tier: int, channel: str | None, now: float) -> int:
        """Count a call: 0 if it is allowed, otherwise the whole seconds of `Retry-After`."""
        if not self.enabled:
            return 0
        wait = 0.0
        if method == "chat.postMessage" and channel:
            bucket = self._channels.setdefault(
                channel, Bucket(per_second=POSTS_PER_SECOND, burst=POST_BURST)
            )
            wait = bucket.take(now)
        if not wait:
            count = PER_MINUTE.get(tier) or SPECIAL_PER_MINUTE.get(method, 600)
            wait = self._windows.setdefault(method, Window(count)).take(now)
        return math.ceil(wait)

    def reset(self) -> None:
        """Forget every call."""
        self._windows.clear()
        self._channels.clear()
