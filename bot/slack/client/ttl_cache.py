"""Caches for answers of Slack, with a time limit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from cachetools import TTLCache

Value = TypeVar("Value")

_MAX_ENTRIES = 5000


def new_cache(ttl: timedelta, now: Callable[[], float]) -> TTLCache[str, Value]:
    """Construct an empty cache.

    Fill it with `setdefault`: that does not extend the life of a value that is still cached.

    Args:
        ttl: How long a value stays in the cache.
        now: A monotonic clock in seconds.
    """
    return TTLCache(_MAX_ENTRIES, ttl.total_seconds(), timer=now)
