"""The statistics behind trends, against scipy, published tables, and sums done by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from core.domain.alerts.trends.cost_spike import LEAST_RUNS, LEAST_USD, cost_spike
from core.domain.alerts.trends.failure_rate import (
    CLEAR_RUNS,
    LEAST_BEFORE,
    EndedRun,
    FailureRate,
    compare,
    failure_rate,
    has_cleared,
)
from core.domain.alerts.trends.statistics import (
    Proportion,
    fisher_greater,
    robust_z,
    wilson_interval,
)
from tests.alerts.false_alarms import RATES, false_alarms

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@st.composite
def proportions(draw: st.DrawFn, least: int = 0, most: int = 60) -> Proportion:
    total = draw(st.integers(least, most))
    return Proportion(cases=draw(st.integers(0, total)), total=total)


def runs(failures: int, total: int) -> list[EndedRun]:
    """Runs, newest first, of which the newest ones failed."""
    return [
        EndedRun(at=NOW - timedelta(hours=number), is_failure=number < failures)
        for number in range(total)
    ]


def rate(failures: int, total: int, before: int, of: int) -> FailureRate:
    return compare(runs(failures, total), Proportion(cases=before, total=of))


@given(proportions(least=1), proportions(least=1))
def test_the_p_value_is_that_of_scipy(present: Proportion, before: Proportion) -> None:
    table = [
        [present.cases, present.total - present.cases],
        [before.cases, before.total - before.cases],
    ]

    expected = stats.fisher_exact(table, alternative="greater").pvalue

    assert fisher_greater(present, before) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)


def test_the_p_value_is_exact_where_floats_are_not() -> None:
    present, before = Proportion(cases=20, total=20), Proportion(cases=0, total=10_000)

    p = fisher_greater(present, before)

    assert p == float(Fraction(1, math.comb(10_020, 20)))


@given(proportions(least=2), proportions(least=1))
def test_more_failures_are_never_more_likely_by_chance(
    present: Proportion, before: Proportion
) -> None:
    assume(present.cases < present.total)
    worse = Proportion(cases=present.cases + 1, total=present.total)

    assert fisher_greater(worse, before) <= fisher_greater(present, before) * (1 + 1e-12)


@given(proportions(least=1), proportions(least=1))
def test_more_failures_before_are_no_smaller_p_value(
    present: Proportion, before: Proportion
) -> None:
    assume(before.cases < before.total)
    worse_before = Proportion(cases=before.cases + 1, total=before.total)

    assert fisher_greater(present, worse_before) >= fisher_greater(present, before) * (1 - 1e-12)


# Newcombe, Statistics in Medicine 17 (1998), table I, method 3, to four decimals.
@pytest.mark.parametrize(
    ("cases", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_that_of_a_published_table(
    cases: int, total: int, low: float, high: float
) -> None:
    found = wilson_interval(Proportion(cases=cases, total=total))

    assert [round(limit, 4) for limit in found] == [low, high]


@given(proportions(least=1, most=500))
def test_the_interval_is_that_of_scipy(found: Proportion) -> None:
    expected = stats.binomtest(found.cases, found.total).proportion_ci(method="wilson")

    assert wilson_interval(found) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(proportions(least=1, most=500))
def test_the_interval_contains_the_share_and_is_mirrored(found: Proportion) -> None:
    low, high = wilson_interval(found)
    mirrored = wilson_interval(Proportion(cases=found.total - found.cases, total=found.total))

    assert 0 <= low <= found.share <= high <= 1
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_of_nothing_everything_is_possible() -> None:
    assert wilson_interval(Proportion(cases=0, total=0)) == (0.0, 1.0)


def test_the_robust_z_by_hand() -> None:
    # Median 4; deviations 3 2 1 0 1 2 96, of which the median is 2.
    others = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]

    z = robust_z(10.0, others, floor=0.001)

    assert z == pytest.approx((10 - 4) / (2 / 0.6744897501960817))


@given(
    st.floats(-100, 100),
    st.lists(st.floats(-100, 100), min_size=1, max_size=40),
    st.floats(0.01, 10),
)
def test_the_robust_z_is_that_of_scipy(value: float, others: list[float], floor: float) -> None:
    deviation = float(stats.median_abs_deviation(others, scale="normal"))
    expected = (value - float(stats.scoreatpercentile(others, 50))) / max(deviation, floor)

    assert robust_z(value, others, floor=floor) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("found", "fires", "p"),
    [
        (rate(3, 5, 4, 60), True, 0.0073),
        (rate(2, 4, 3, 50), False, 0.0388),
        (rate(1, 1, 0, 20), False, 0.0476),
    ],
)
def test_the_three_examples(found: FailureRate, fires: bool, p: float) -> None:
    assert found.is_raised is fires
    assert found.p == pytest.approx(p, abs=0.0001)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(rate(2, 5, 0, 1000), id="fewer than three failures"),
        pytest.param(rate(19, 100, 20, 10_000), id="less than 20 points more"),
        pytest.param(rate(5, 5, 0, LEAST_BEFORE - 1), id="too few runs before"),
    ],
)
def test_a_small_p_value_alone_is_no_alert(found: FailureRate) -> None:
    assert found.p < 0.01
    assert not found.is_raised


@given(st.integers(0, 4), proportions(least=LEAST_BEFORE))
def test_one_more_failure_never_ends_the_condition(failures: int, before: Proportion) -> None:
    now, worse = (compare(runs(count, 5), before) for count in (failures, failures + 1))

    assert worse.is_raised or not now.is_raised


def test_the_newest_runs_are_no_part_of_what_they_are_compared_with() -> None:
    newest = runs(3, 20)

    found = failure_rate(newest, Proportion(cases=7, total=65))

    assert found is not None
    assert (found.recent, found.before) == (
        Proportion(cases=3, total=5),
        Proportion(cases=4, total=60),
    )


def test_with_too_few_runs_nothing_is_said() -> None:
    assert failure_rate(runs(4, 4), Proportion(cases=4, total=100)) is None
    assert failure_rate(runs(5, 5), Proportion(cases=5, total=LEAST_BEFORE + 4)) is None


def test_it_is_over_when_chance_explains_it() -> None:
    # 1 of 5 against 6 of 60: p = 0.44.  2 of 5 against 5 of 60: p = 0.09.
    baseline = Proportion(cases=7, total=65)

    assert has_cleared(runs(1, 20), baseline, window=5, fired_at=NOW)
    assert not has_cleared(runs(2, 20), baseline, window=5, fired_at=NOW)


def test_it_is_over_after_ten_runs_without_excess() -> None:
    # The oldest four of the newest twenty failed: p = 0.02 for the window, and none in ten runs.
    ends = [
        EndedRun(at=NOW - timedelta(hours=number), is_failure=number >= 16) for number in range(20)
    ]
    baseline = Proportion(cases=5, total=100)
    tenth = NOW - timedelta(hours=CLEAR_RUNS - 1)

    assert compare(ends, Proportion(cases=1, total=80)).p < 0.2
    assert has_cleared(ends, baseline, window=20, fired_at=tenth - timedelta(seconds=1))
    assert not has_cleared(ends, baseline, window=20, fired_at=tenth)


COSTS = st.integers(1, 10**7).map(lambda cents: Decimal(cents) / 100)


@given(COSTS, st.lists(COSTS, min_size=LEAST_RUNS, max_size=40), st.integers(2, 1000))
def test_a_spike_does_not_depend_on_the_currency(
    cost: Decimal, others: list[Decimal], factor: int
) -> None:
    found = cost_spike(cost, others, least=LEAST_RUNS)
    scaled = cost_spike(cost * factor, [other * factor for other in others], least=LEAST_RUNS)

    assert found is not None
    assert scaled is not None
    assert scaled.z == pytest.approx(found.z, rel=1e-6, abs=1e-6)
    assert scaled.factor == pytest.approx(found.factor, rel=1e-9)


@given(st.lists(COSTS, min_size=LEAST_RUNS, max_size=40), COSTS, COSTS)
def test_a_higher_cost_never_ends_a_spike(
    others: list[Decimal], cost: Decimal, more: Decimal
) -> None:
    found, higher = (cost_spike(one, others, least=LEAST_RUNS) for one in (cost, cost + more))

    assert found is not None
    assert higher is not None
    assert higher.is_raised or not found.is_raised


@given(COSTS, st.decimals("0.92", "1.08", places=3))
def test_among_equal_costs_one_within_ten_percent_is_usual(usual: Decimal, factor: Decimal) -> None:
    found = cost_spike(usual * factor, [usual] * LEAST_RUNS, least=LEAST_RUNS)

    assert found is not None
    assert abs(found.z) < 1


@pytest.mark.parametrize(
    ("cost", "fires"),
    [
        pytest.param("4.00", True, id="twice the usual cost"),
        pytest.param("3.99", False, id="less than twice"),
    ],
)
def test_a_spike_costs_at_least_twice_as_much(cost: str, fires: bool) -> None:
    found = cost_spike(Decimal(cost), [Decimal(2)] * LEAST_RUNS, least=LEAST_RUNS)

    assert found is not None
    assert found.is_raised is fires


def test_a_spike_costs_at_least_a_dollar() -> None:
    usual = [Decimal("0.10")] * LEAST_RUNS
    cheap = cost_spike(LEAST_USD - Decimal("0.01"), usual, least=LEAST_RUNS)
    expensive = cost_spike(LEAST_USD, usual, least=LEAST_RUNS)

    assert cheap is not None
    assert expensive is not None
    assert (cheap.is_raised, expensive.is_raised) == (False, True)


def test_with_eleven_runs_nothing_is_said_of_a_cost() -> None:
    usual = [Decimal(1)] * (LEAST_RUNS - 1)

    assert cost_spike(Decimal(100), usual, least=LEAST_RUNS) is None
    assert cost_spike(Decimal(100), [*usual, Decimal(0)], least=LEAST_RUNS) is None
    assert cost_spike(Decimal(100), [*usual, Decimal(1)], least=LEAST_RUNS) is not None


@pytest.mark.parametrize("rate_of_failures", RATES)
def test_of_a_hundred_evaluations_without_a_change_less_than_one_fires(
    rate_of_failures: float,
) -> None:
    counted = false_alarms(rate_of_failures, histories=120, seed=7)

    assert counted.evaluations > 10_000
    assert counted.share < 0.01
