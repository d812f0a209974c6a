"""Answers of Slack remembered for a while."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

Value = TypeVar("Value")

_MAX_ENTRIES = 5000


class TTLCache(Generic[Value]):
    """Values that are forgotten after a time; `now` is a monotonic clock in seconds."""

    def __init__(self, ttl: timedelta, now: Callable[[], float]) -> None:
        self._ttl = ttl.total_seconds()
        self._now = now
        self._values: dict[str, tuple[float, Value]] = {}

    def get(self, key: str) -> Value | None:
        """The value, unless there is none or it is too old."""
        entry = self._values.get(key)
        if entry is None or entry[0] <= self._now():
            return None
        return entry[1]

    def put(self, key: str, value: Value) -> None:
        """Remember a value; one still fresh keeps its age."""
        if self.get(key) is not None:
            return
        if len(self._values) >= _MAX_ENTRIES:
            now = self._now()
            self._values = {k: v for k, v in self._values.items() if v[0] > now}
            while len(self._values) >= _MAX_ENTRIES:
                del self._values[next(iter(self._values))]
        self._values[key] = (self._now() + self._ttl, value)

    def evict(self, key: str) -> None:
        """Drop a value."""
        self._values.pop(key, None)
