"""Histograms that can be added up, of durations in whole seconds or milliseconds.

A histogram is stored as one number, in which the counts of the buckets stand side by side: the
count of bucket `n` is its digits from `8 n` to `8 n + 7`.  So the sum of such numbers is the
histogram of everything together, and Postgres adds a year of them with `sum()`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

# Of each count in the number: a bucket holds fewer than 100 million values.
DIGITS = 8
_BASE = 10**DIGITS
# In seconds that is 11 days, in milliseconds 17 minutes; the last bucket has everything above.
_MOST = 1_000_000


def _bounds() -> tuple[int, ...]:
    bounds = list(range(1, 11))
    while bounds[-1] < _MOST:
        # Each bucket is a tenth wide, so its middle is at most 5 % off.
        bounds.append(-(-bounds[-1] * 11 // 10))
    return tuple(bounds)


# Where the buckets begin, except the first one, which is for 0.  Stored histograms depend on them:
# to change them is to compute all days anew.
BOUNDS = _bounds()


def bucket_of(value: int) -> int:
    """The bucket of a value; Postgres's `width_bucket(value, bounds)`."""
    return bisect_right(BOUNDS, value)


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """A number of values, how large they are together, and how they spread.

    Attributes:
        count: The number of values.
        total: Their sum, exactly.
        packed: The counts of the buckets, in one number.
    """

    count: int = 0
    total: int = 0
    packed: int = 0

    @classmethod
    def of(cls, values: Iterable[int]) -> Histogram:
        """The histogram of some values."""
        found = list(values)
        return cls(
            count=len(found),
            total=sum(found),
            packed=sum(_BASE ** bucket_of(value) for value in found),
        )

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(
            count=self.count + other.count,
            total=self.total + other.total,
            packed=self.packed + other.packed,
        )

    @property
    def mean(self) -> float | None:
        """The mean, exactly; `None` if there are no values."""
        return self.total / self.count if self.count else None

    @property
    def counts(self) -> tuple[int, ...]:
        """How many values each bucket has, up to the last one that has any."""
        counts: list[int] = []
        left = self.packed
        while left:
            left, count = divmod(left, _BASE)
            counts.append(count)
        return tuple(counts)

    def quantile(self, share: float) -> float | None:
        """The value below which this share of them lies, at most 5 % off; `None` without values."""
        if not self.count:
            return None
        # Of the values in order, the one at this place, counted from 0.
        place = share * (self.count - 1)
        bucket = next(
            number for number, below in enumerate(accumulate(self.counts)) if below > place
        )
        return _middle(bucket)


def _middle(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    if bucket == len(BOUNDS):
        return float(BOUNDS[-1])
    return (BOUNDS[bucket - 1] + BOUNDS[bucket] - 1) / 2
