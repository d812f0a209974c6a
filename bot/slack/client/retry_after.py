"""The Retry-After of a refused call: how long to wait, whatever the header says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

# Of an answer without the header.
DEFAULT_SECONDS = 5.0
_MIN_SECONDS = 1.0
# A longer Retry-After is not trusted: after an hour one call tries again.
MAX_SECONDS = 3600.0
_SHOWN_CHARS = 40


@dataclass(frozen=True, kw_only=True)
class RetryAfter:
    """How long calls are held back.

    Attributes:
        seconds: The wait, between 1 second and an hour.
        rejected: The value of the header, if it was not used as it is: too long, not positive,
            or not a time.
    """

    seconds: float
    rejected: str | None = None

    @property
    def is_capped(self) -> bool:
        """Whether Slack asked for a longer wait."""
        return self.rejected is not None and self.seconds == MAX_SECONDS


def read_retry_after(headers: Mapping[str, Any], *, now: datetime) -> RetryAfter:
    """Read the header of an answer.

    Slack sends whole seconds.  A date, which HTTP allows too, counts from `now`.
    """
    value = next((str(v) for k, v in headers.items() if k.lower() == "retry-after"), None)
    if value is None:
        return RetryAfter(seconds=DEFAULT_SECONDS)
    asked = _seconds(value.strip(), now)
    shown = value[:_SHOWN_CHARS]
    if asked is None:
        return RetryAfter(seconds=DEFAULT_SECONDS, rejected=shown)
    if asked <= 0:
        return RetryAfter(seconds=_MIN_SECONDS, rejected=shown)
    if asked > MAX_SECONDS:
        return RetryAfter(seconds=MAX_SECONDS, rejected=shown)
    return RetryAfter(seconds=max(asked, _MIN_SECONDS))


def _seconds(value: str, now: datetime) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError):
            return None
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return None if math.isnan(seconds) else seconds
