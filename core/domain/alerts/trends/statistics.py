"""The statistics behind trends, each small enough to check by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

# The two-sided 95 % quantile of the normal distribution.
_Z_95 = 1.959963984540054
# The median absolute deviation of a normal distribution is its standard deviation divided by this.
_MAD_OF_NORMAL = 0.6744897501960817
# The present cases times all of them, above which Fisher's test takes milliseconds if it is exact.
_MOST_WORK = 4_000_000
_NEGLIGIBLE = 1e-16


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """A number of cases among all of them."""

    cases: int
    total: int

    @property
    def share(self) -> float:
        """The share of the cases, from 0 to 1; 0 if there is nothing."""
        return self.cases / self.total if self.total else 0.0


def fisher_greater(present: Proportion, before: Proportion) -> float:
    """The one-sided p-value of Fisher's exact test.

    It is the probability of at least `present.cases` cases there, if both had the same share and
    all margins are given: the upper tail of a hypergeometric distribution.  Computed with whole
    numbers, so it is exact up to the last division; where they would take too long, by logarithms,
    with an error of less than a millionth of the value.
    """
    cases = present.cases + before.cases
    total = present.total + before.total
    upper = min(cases, present.total)
    if present.total * total > _MOST_WORK:
        return _tail_by_logarithms(present, before)
    tail = sum(
        math.comb(cases, found) * math.comb(total - cases, present.total - found)
        for found in range(present.cases, upper + 1)
    )
    return tail / math.comb(total, present.total)


def _tail_by_logarithms(present: Proportion, before: Proportion) -> float:
    cases = present.cases + before.cases
    others = present.total + before.total - cases
    mean = present.total * cases / (cases + others)
    # From there on the terms become smaller; the other tail is the rest.
    is_upper = present.cases > mean
    found = present.cases if is_upper else present.cases - 1
    lowest, highest = max(0, present.total - others), min(cases, present.total)
    if found < lowest:
        return 1.0
    term = math.exp(
        _log_comb(cases, found)
        + _log_comb(others, present.total - found)
        - _log_comb(cases + others, present.total)
    )
    tail = 0.0
    while lowest <= found <= highest and term > tail * _NEGLIGIBLE:
        tail += term
        left = present.total - found
        if is_upper:
            term *= (cases - found) * left / ((found + 1) * (others - left + 1))
            found += 1
        else:
            term *= found * (others - left) / ((cases - found + 1) * (left + 1))
            found -= 1
    return min(tail, 1.0) if is_upper else max(1.0 - tail, 0.0)


def _log_comb(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def wilson_interval(found: Proportion) -> tuple[float, float]:
    """The 95 % interval of Wilson for a share; from 0 to 1 if there is nothing."""
    if not found.total:
        return 0.0, 1.0
    n, share, z = found.total, found.share, _Z_95
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if found.cases == 0 else (middle - spread) / scale
    high = 1.0 if found.cases == n else (middle + spread) / scale
    return max(0.0, low), min(1.0, high)


def robust_z(value: float, others: Sequence[float], *, floor: float) -> float:
    """How many robust standard deviations a value is above the median of others.

    The deviation is the median absolute deviation, scaled to that of a normal distribution.

    Args:
        value: The value to judge.
        others: The values to compare with, without `value`; at least one.
        floor: The least deviation; without it equal values would make any other one extreme.
    """
    middle, deviation = _middle(others, floor)
    return (value - middle) / deviation


def robust_range(others: Sequence[float], *, floor: float) -> tuple[float, float, float]:
    """Where 95 % of values lie that are as these: the lower end, the middle, the upper end.

    Args:
        others: At least one value.
        floor: As in `robust_z`.
    """
    middle, deviation = _middle(others, floor)
    return middle - _Z_95 * deviation, middle, middle + _Z_95 * deviation


def _middle(others: Sequence[float], floor: float) -> tuple[float, float]:
    """The median, and the robust standard deviation around it."""
    middle = median(others)
    deviation = median(abs(other - middle) for other in others) / _MAD_OF_NORMAL
    return middle, max(deviation, floor)
