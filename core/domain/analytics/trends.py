"""How each day compares with the days before it: the same tests as the alerts use.

Nothing is compared with itself, and where there are too few days or runs before, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from core.domain.alerts.trends.cost_spike import LEAST_WEEKS, MAX_Z, WEEKS, cost_spike
from core.domain.alerts.trends.failure_rate import BASELINE, LEAST_BEFORE, MAX_P
from core.domain.alerts.trends.judging import failures_among
from core.domain.alerts.trends.statistics import (
    Proportion,
    fisher_greater,
    robust_range,
    robust_z,
    wilson_interval,
)
from core.domain.analytics.figures import Figures

# So many days before the first one are needed: the same weekday of all weeks before.
DAYS_BEFORE = 7 * WEEKS
# A day's median duration of fewer runs says little; days to compare with, at least and at most.
LEAST_DURATIONS = 5
LEAST_DAYS, MOST_DAYS = 7, 28
# As in `cost_spike`: what differs by less than 10 % is usual.
_FLOOR = math.log(1.1)
_MEDIAN = 0.5
_NO_COST = Decimal(0)
_NO_RUNS = Proportion(cases=0, total=0)


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What a day is compared with.

    Attributes:
        low: The lower end of where 95 % of days lie that are like those before.
        middle: Their median, or their share.
        high: The upper end.
        compared: The number of days, or of runs, before.
    """

    low: float
    middle: float
    high: float
    compared: int


@dataclass(frozen=True, kw_only=True)
class DayTrend:
    """A day's figure.

    Attributes:
        value: `None` if nothing was measured.
        usual: `None` if there is too little to compare with.
        is_unusual: Whether it differs by more than chance explains.
    """

    value: float | None
    usual: Usual | None = None
    is_unusual: bool = False


@dataclass(frozen=True, kw_only=True)
class ShareChange:
    """The failures of a period against those of the period before.

    Attributes:
        interval: The 95 % interval of the present share.
        p: The probability of a difference so large by chance alone, in either direction; `None`
            if there are too few runs to tell.
    """

    present: Proportion
    before: Proportion
    interval: tuple[float, float]
    p: float | None

    @property
    def is_clear(self) -> bool:
        """Whether chance does not explain it."""
        return self.p is not None and self.p < MAX_P


def spend_trend(history: Mapping[date, Figures], days: Sequence[date]) -> list[DayTrend]:
    """What each day cost, against the same weekday of the eight weeks before."""
    costs = {day: one.spend.reported_usd + one.spend.estimated_usd for day, one in history.items()}
    return [_spend_of(costs, day) for day in days]


def duration_trend(history: Mapping[date, Figures], days: Sequence[date]) -> list[DayTrend]:
    """The median duration of each day, in seconds, against those of the four weeks before."""
    medians = {
        day: median
        for day, one in history.items()
        if (median := one.durations.quantile(_MEDIAN)) is not None
    }
    counts = {day: one.durations.count for day, one in history.items()}
    return [_duration_of(medians, counts.get(day, 0), day) for day in days]


def failure_trend(history: Mapping[date, Figures], days: Sequence[date]) -> list[DayTrend]:
    """The share of failures of each day, against all runs of the 30 days before."""
    found = {day: failures_among(one) for day, one in history.items()}
    return [_failures_of(found, day) for day in days]


def share_change(present: Proportion, before: Proportion) -> ShareChange:
    """Compare the shares of two periods, by Fisher's exact test."""
    enough = min(present.total, before.total) >= LEAST_BEFORE
    return ShareChange(
        present=present,
        before=before,
        interval=wilson_interval(present),
        p=_two_sided(present, before) if enough else None,
    )


def _spend_of(costs: Mapping[date, Decimal], day: date) -> DayTrend:
    cost = costs.get(day, _NO_COST)
    before = [costs.get(day - timedelta(weeks=number), _NO_COST) for number in range(1, WEEKS + 1)]
    spike = cost_spike(cost, before, least=LEAST_WEEKS)
    return DayTrend(
        value=float(cost),
        usual=_usual([float(one) for one in before if one > 0], least=LEAST_WEEKS),
        is_unusual=spike is not None and spike.is_raised,
    )


def _duration_of(medians: Mapping[date, float], count: int, day: date) -> DayTrend:
    value = medians.get(day)
    earlier = (medians.get(day - timedelta(days=number)) for number in range(1, MOST_DAYS + 1))
    # A duration of 0 has no logarithm.
    before = [one for one in earlier if one]
    usual = _usual(before, least=LEAST_DAYS)
    is_unusual = False
    if usual is not None and value and count >= LEAST_DURATIONS:
        z = robust_z(math.log(value), [math.log(one) for one in before], floor=_FLOOR)
        is_unusual = abs(z) > MAX_Z
    return DayTrend(value=value, usual=usual, is_unusual=is_unusual)


def _failures_of(found: Mapping[date, Proportion], day: date) -> DayTrend:
    present = found.get(day, _NO_RUNS)
    earlier = [
        found.get(day - timedelta(days=number), _NO_RUNS) for number in range(1, BASELINE.days + 1)
    ]
    before = Proportion(
        cases=sum(one.cases for one in earlier), total=sum(one.total for one in earlier)
    )
    value = present.share if present.total else None
    if before.total < LEAST_BEFORE or value is None:
        return DayTrend(value=value)
    low, high = wilson_interval(before)
    return DayTrend(
        value=value,
        usual=Usual(
            low=max(low - _spread(low, present.total), 0.0),
            middle=before.share,
            high=min(high + _spread(high, present.total), 1.0),
            compared=before.total,
        ),
        is_unusual=_two_sided(present, before) < MAX_P,
    )


def _spread(share: float, total: int) -> float:
    """How far a day with so many runs is from a share by chance, for 95 % of days."""
    low, _, high = robust_range([share], floor=math.sqrt(share * (1 - share) / total))
    return (high - low) / 2


def _two_sided(present: Proportion, before: Proportion) -> float:
    """Twice the smaller one of the two one-sided p-values of Fisher's test."""
    rest, rest_before = _rest(present), _rest(before)
    return min(1.0, 2 * min(fisher_greater(present, before), fisher_greater(rest, rest_before)))


def _rest(found: Proportion) -> Proportion:
    return Proportion(cases=found.total - found.cases, total=found.total)


def _usual(before: Sequence[float], *, least: int) -> Usual | None:
    """The usual range of figures whose ratios matter, so by their logarithms."""
    if len(before) < least:
        return None
    low, middle, high = robust_range([math.log(one) for one in before], floor=_FLOOR)
    return Usual(
        low=math.exp(low), middle=math.exp(middle), high=math.exp(high), compared=len(before)
    )
