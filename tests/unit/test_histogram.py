"""Histograms: exact counts and sums, quantiles within 5 %, and sums of histograms."""

from __future__ import annotations

from random import Random

import pytest

from core.domain.analytics.histogram import BOUNDS, Histogram, bucket_of


def test_without_values_there_are_no_quantiles() -> None:
    empty = Histogram()

    assert (empty.mean, empty.quantile(0.5), empty.counts) == (None, None, ())


def test_small_values_have_a_bucket_each() -> None:
    assert [bucket_of(value) for value in range(11)] == list(range(11))
    assert Histogram.of([3, 3, 9]).quantile(0.5) == 3


@pytest.mark.parametrize("seed", range(20))
def test_quantiles_are_at_most_5_percent_off(seed: int) -> None:
    random = Random(seed)
    values = sorted(int(10 ** random.uniform(0, 5.9)) for _ in range(random.randrange(1, 500)))
    found = Histogram.of(values)

    for share in (0, 0.5, 0.95, 1):
        exact = values[int(share * (len(values) - 1))]
        assert found.quantile(share) == pytest.approx(exact, rel=0.05)
    assert (found.count, found.total) == (len(values), sum(values))


def test_a_sum_is_the_histogram_of_everything_together() -> None:
    random = Random(1)
    one = [random.randrange(2_000_000) for _ in range(300)]
    other = [random.randrange(100) for _ in range(300)]

    assert Histogram.of(one) + Histogram.of(other) == Histogram.of([*one, *other])
    assert sum(Histogram.of([*one, *other]).counts) == 600


def test_very_long_times_are_in_the_last_bucket() -> None:
    found = Histogram.of([10**9, 10**12])

    assert found.counts[-1] == 2
    assert found.quantile(0.5) == BOUNDS[-1]
