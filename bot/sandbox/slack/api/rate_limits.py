"""Slack's rate limits: per method by tier, and one message a second in each channel.

Per method the number of calls in any 60 seconds is what Slack promises to allow; the real
one is sometimes kinder, never stricter.
"""

import math
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType

PER_MINUTE: Mapping[int, int] = MappingProxyType({1: 1, 2: 20, 3: 50, 4: 100})

# Tier 5 is "special": hundreds a minute for the cheap ones; for posting, a cap of the
# whole workspace that comes on top of the one of each channel.
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
        """Count a call.  0, or the seconds until one would be allowed; then nothing counts."""
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        if len(self._calls) >= self._count:
            return self._calls[0] + 60 - now
        self._calls.append(now)
        return 0.0


class Bucket:
    """A burst, then a steady rate."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._rate = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._updated_at = -math.inf

    def take(self, now: float) -> float:
        """Count a call.  0, or the seconds until one would be allowed; then nothing counts."""
        if self._updated_at > -math.inf:
            self._tokens = min(self._burst, self._tokens + (now - self._updated_at) * self._rate)
        self._updated_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class RateLimits:
    """What one app may call in one workspace; `enabled` is the off switch."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._windows: dict[str, Window] = {}
        self._channels: dict[str, Bucket] = {}

    def retry_after(self, method: str, tier: int, channel: str | None, now: float) -> int:
        """Count a call: 0 if it may pass, or the whole seconds of `Retry-After`."""
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
