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
    numbers, so it is exact up to the last division.
    """
    cases = present.cases + before.cases
    total = present.total + before.total
    upper = min(cases, present.total)
    tail = sum(
        math.comb(cases, found) * math.comb(total - cases, present.total - found)
        for found in range(present.cases, upper + 1)
    )
    return tail / math.comb(total, present.total)


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
    middle = median(others)
    deviation = median(abs(other - middle) for other in others) / _MAD_OF_NORMAL
    return (value - middle) / max(deviation, floor)
