"""Answers of Slack, remembered for a while."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from cachetools import TTLCache

Value = TypeVar("Value")

_MAX_ENTRIES = 5000


def new_cache(ttl: timedelta, now: Callable[[], float]) -> TTLCache[str, Value]:
    """Make an empty cache; fill it with `setdefault`, so that a fresh value keeps its age.

    Args:
        ttl: How long a value is remembered.
        now: A monotonic clock in seconds.
    """
    return TTLCache(_MAX_ENTRIES, ttl.total_seconds(), timer=now)
