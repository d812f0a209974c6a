"""What is usual, and what is not, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from bot.web.dashboard.analytics.columns import seconds_in_words, share_in_words
from bot.words import counts, money
from core.domain.analytics.trends import DayTrend

_UNUSUAL = "unusual"
# The others are in the table.
_MOST_DAYS = 3


def unusual_days(days: Sequence[date], trend: Sequence[DayTrend]) -> str:
    """Which days are unusual, in a sentence."""
    found = [
        f"{day.day}\u00a0{day:%b}" for day, one in zip(days, trend, strict=True) if one.is_unusual
    ]
    if not found:
        return "no day is unusual"
    more = f" and {len(found) - _MOST_DAYS:,} more" if len(found) > _MOST_DAYS else ""
    listed = ", ".join(found[:_MOST_DAYS])
    return f"{counts.plural(len(found), 'unusual day')}: {listed}{more}"


def remark(found: DayTrend) -> str:
    """What is said of a day that is unusual; empty of the others."""
    return _UNUSUAL if found.is_unusual else ""


def usual_usd(found: DayTrend) -> str:
    """What is usual, in US dollars; empty if it is unknown."""
    if found.usual is None:
        return ""
    return f"{_dollars(found.usual.low)} to {_dollars(found.usual.high)}"


def _dollars(amount: float) -> str:
    return money.dollars(Decimal(str(amount)))


def usual_share(found: DayTrend) -> str:
    """What is usual, in percent; empty if it is unknown."""
    if found.usual is None:
        return ""
    return f"{share_in_words(found.usual.low)} to {share_in_words(found.usual.high)}"


def usual_seconds(found: DayTrend) -> str:
    """What is usual, as durations; empty if it is unknown."""
    if found.usual is None:
        return ""
    return f"{seconds_in_words(found.usual.low)} to {seconds_in_words(found.usual.high)}"
