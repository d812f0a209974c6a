"""Long rate limits: for which methods Slack has asked for a pause of more than a minute.

A pause of seconds is normal.  A long one must not go unnoticed: it is logged once when it begins
and once when it is over, `/readyz` names it, and the people whose threads it delays are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.slack.client.rate_limits import LONG_WAIT_SECONDS
from bot.slack.client.retry_after import RetryAfter

log = logging.getLogger(__name__)

# A limit whose time has passed counts as over, even if no call has shown it, after this time.
_UNUSED_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class LongLimit:
    """A method that Slack does not let the bot call, for posts in one channel.

    Attributes:
        since: When Slack refused the first call.
        until: When a call is tried again.
        is_capped: Whether Slack has asked for a longer pause than that.
    """

    method: str
    channel: str | None
    since: datetime
    until: datetime
    is_capped: bool = False


@dataclass
class LongLimits:
    """The present long limits.

    Attributes:
        clock: The current time, in UTC.
        episode: Rises when a limit begins while there is no other; a person is told once in each.
    """

    clock: Callable[[], datetime]
    episode: int = 0
    _told: set[str] = field(default_factory=set)
    _limits: dict[tuple[str, str | None], LongLimit] = field(default_factory=dict)

    def begin(self, method: str, channel: str | None, wait: RetryAfter) -> None:
        """Record that Slack asked for a pause; nothing happens if it is short."""
        if wait.rejected is not None:
            log.warning(
                "slack sent an unusable Retry-After for %s (%s): the next try is in %.0f s",
                method,
                wait.rejected,
                wait.seconds,
                extra={
                    "event": "retry_after.rejected",
                    "method": method,
                    "value": wait.rejected,
                    "retry_seconds": wait.seconds,
                },
            )
        if wait.seconds <= LONG_WAIT_SECONDS:
            return
        if not self.current():
            self.episode += 1
            self._told.clear()
        key, now = _key(method, channel), self.clock()
        known = self._limits.get(key)
        self._limits[key] = LongLimit(
            method=method,
            channel=key[1],
            since=known.since if known is not None else now,
            until=now + timedelta(seconds=wait.seconds),
            is_capped=wait.is_capped,
        )
        if known is None:
            log.warning(
                "slack limits %s for %.0f s; what can be done by other methods is done",
                _named(key),
                wait.seconds,
                extra={
                    "event": "slack_limit.began",
                    "method": method,
                    "channel_id": key[1],
                    "retry_seconds": wait.seconds,
                },
            )

    def record_success(self, method: str, channel: str | None) -> None:
        """Record that Slack has accepted a call."""
        if self._limits:
            self._end(_key(method, channel))

    def claim_notice(self, user_id: str) -> bool:
        """Whether this person was not yet told in this episode; the caller tells them now."""
        is_first = user_id not in self._told
        self._told.add(user_id)
        return is_first

    def return_notice(self, user_id: str) -> None:
        """Undo `claim_notice`: the person could not be told."""
        self._told.discard(user_id)

    def of(self, method: str, channel: str | None) -> LongLimit | None:
        """The present limit of a method (for posts, in a channel)."""
        self.current()
        return self._limits.get(_key(method, channel))

    def current(self) -> tuple[LongLimit, ...]:
        """All present limits, the oldest first."""
        now = self.clock()
        for key, limit in list(self._limits.items()):
            if now > limit.until + _UNUSED_AFTER:
                self._end(key)
        return tuple(self._limits.values())

    def _end(self, key: tuple[str, str | None]) -> None:
        limit = self._limits.pop(key, None)
        if limit is None:
            return
        # A limit that nobody has tried since is over at the time that Slack named.
        lasted = min(self.clock(), limit.until + _UNUSED_AFTER) - limit.since
        log.warning(
            "slack limits %s no more, after %.0f s",
            _named(key),
            lasted.total_seconds(),
            extra={
                "event": "slack_limit.ended",
                "method": limit.method,
                "channel_id": limit.channel,
                "duration_seconds": round(lasted.total_seconds()),
            },
        )


def _key(method: str, channel: str | None) -> tuple[str, str | None]:
    """Only posts are limited by channel."""
    return method, channel if method == "chat.postMessage" else None


def _named(key: tuple[str, str | None]) -> str:
    method, channel = key
    return f"{method} in {channel}" if channel else method
