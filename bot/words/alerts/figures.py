"""Reads the numbers of an alert's evidence, and rounds those that change all the time.

Evidence is stored as JSON, maybe by another version of the program: whatever is missing or is of
another type is `None`, never an error.

What an open alert shows is rounded, since each change is an update of a message in each channel,
and all messages of a workspace share 50 updates a minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.words import counts, money, times
from bot.words.markup import Markup

_HOUR = timedelta(hours=1)
# Moments that are further away are shown with their date.
_ONE_DATE = timedelta(hours=12)
# The step of a duration by its length: the first one that is longer decides.
_STEPS = (
    (timedelta(minutes=10), timedelta(minutes=1)),
    (_HOUR, timedelta(minutes=5)),
    (6 * _HOUR, timedelta(minutes=30)),
    (timedelta.max, _HOUR),
)
_COUNT_STEPS = ((10, 1), (100, 10), (1000, 100))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The evidence of one alert, read with care."""

    stored: Mapping[str, Any]

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        found = self.stored.get(key)
        return found if isinstance(found, str) and found.strip() else None

    def texts(self, key: str) -> Sequence[str]:
        """A list of texts; empty if it is none."""
        found = self.stored.get(key)
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    def count(self, key: str) -> int | None:
        """A whole number."""
        found = self.stored.get(key)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def number(self, key: str) -> float | None:
        """A number."""
        found = self.stored.get(key)
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        return float(found) if is_number and found is not None else None

    def share(self, key: str) -> tuple[float, float] | None:
        """The two ends of an interval of shares."""
        found = self.stored.get(key)
        if not isinstance(found, list) or len(found) != 2:
            return None
        low, high = found
        is_pair = isinstance(low, int | float) and isinstance(high, int | float)
        return (float(low), float(high)) if is_pair else None

    def dollars(self, key: str) -> Decimal | None:
        """An amount of US dollars, which is stored as a text."""
        found = self.stored.get(key)
        try:
            amount = Decimal(found) if isinstance(found, str) else None
        except InvalidOperation:
            return None
        return amount if amount is not None and amount.is_finite() else None

    def duration(self, key: str) -> timedelta | None:
        """A number of seconds."""
        seconds = self.number(key)
        try:
            return None if seconds is None else timedelta(seconds=seconds)
        except (OverflowError, ValueError):
            return None

    def time(self, key: str) -> datetime | None:
        """A moment, which is stored as a text."""
        found = self.text(key)
        try:
            at = None if found is None else datetime.fromisoformat(found)
        except ValueError:
            return None
        return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


def rough(length: timedelta) -> str:
    """A duration that still grows, rounded down: `6 min`, `15 min`, `1 h 30 min`."""
    step = next(step for limit, step in _STEPS if length < limit)
    rounded = max(length, timedelta(0)) // step * step
    return times.duration(rounded) if rounded else "under 1 min"


def rough_count(number: int) -> str:
    """A count that still changes, rounded down from 10 on: `9`, `over 20`, `over 300`."""
    step = next((step for limit, step in _COUNT_STEPS if number < limit), 1000)
    rounded = number // step * step
    return f"{number:,}" if rounded == number else f"over {rounded:,}"


def rough_plural(number: int, one: str, many: str) -> str:
    """A count that still changes, with what is counted: `1 run waits`, `over 20 runs wait`."""
    return f"{rough_count(number)} {one if number == 1 else many}"


def over_share(cost: Decimal, limit: Decimal) -> str:
    """The share of a limit that is spent, in steps of 5 %: `over 85 %`, `100 %`."""
    percent, is_exact = _rounded_share(cost, limit)
    return f"{'' if is_exact else 'over '}{percent:,} %"


def over_amount(cost: Decimal, limit: Decimal) -> str:
    """A cost in steps of 5 % of a limit that is above 0: `over $11.00`."""
    percent, is_exact = _rounded_share(cost, limit)
    return f"{'' if is_exact else 'over '}{money.dollars(limit * percent / 100)}"


def _rounded_share(cost: Decimal, limit: Decimal) -> tuple[int, bool]:
    """The share in percent, rounded down, and whether it is exact."""
    percent = int(cost / limit * 100) // 5 * 5
    return percent, cost * 100 == percent * limit


def usage_words(evidence: Evidence) -> str:
    """What an ended run used: `12 turns, 4 min 12 s, $0.099`; empty if nothing is known."""
    parts = []
    turns = evidence.count("turns")
    if turns:
        parts.append(counts.plural(turns, "turn"))
    duration = evidence.duration("duration_seconds")
    if duration is not None:
        parts.append(times.duration(duration))
    cost = evidence.dollars("cost_usd")
    if cost is not None:
        estimated = "~" if evidence.text("cost_source") == "estimated" else ""
        parts.append(f"{estimated}{money.dollars(cost)}")
    return ", ".join(parts)


def moment(at: datetime, now: datetime, markup: Markup) -> str:
    """A moment near to now: the time of the day, with the date if that alone could mislead."""
    is_near = abs(at - now) < _ONE_DATE
    return markup.clock_time(at) if is_near else markup.date_time(at)
