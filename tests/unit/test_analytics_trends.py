"""Days against the days before them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.domain.alerts.trends.judging import failures_among, is_failure, is_judged
from core.domain.alerts.trends.statistics import Proportion, fisher_greater
from core.domain.analytics.figures import Figures
from core.domain.analytics.histogram import Histogram
from core.domain.analytics.trends import (
    duration_trend,
    failure_trend,
    share_change,
    spend_trend,
)
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.stats import Spend

TODAY = date(2026, 11, 30)


def before(days: int) -> date:
    return TODAY - timedelta(days=days)


def spent(usd: str) -> Figures:
    return Figures(spend=Spend(reported_usd=Decimal(usd), reported_runs=1))


def took(seconds: Sequence[int]) -> Figures:
    return Figures(durations=Histogram.of(seconds))


def ended(completed: int, failed: int) -> Figures:
    return Figures(
        by_status={RunStatus.COMPLETED: completed, RunStatus.FAILED: failed},
        by_stop_reason={StopReason.SUCCESS: completed, StopReason.AGENT_ERROR: failed},
    )


def test_a_day_that_cost_far_more_than_its_weekday_is_unusual() -> None:
    weeks = {before(7 * n): spent(cost) for n, cost in enumerate("45645456", 1)}
    # Other weekdays do not matter.
    history = {**weeks, **{before(n): spent("90") for n in (1, 2, 3, 8)}, TODAY: spent("40")}

    [today] = spend_trend(history, [TODAY])

    assert today.is_unusual
    assert today.usual is not None
    assert today.usual.middle == pytest.approx(5)
    assert 0 < today.usual.low < 5 < today.usual.high < 40
    assert today.usual.compared == 8


def test_of_few_days_nothing_is_said() -> None:
    history = {TODAY: spent("40"), before(7): spent("1"), before(14): spent("1")}

    assert [one.usual for one in spend_trend(history, [TODAY])] == [None]
    assert [one.usual for one in duration_trend({TODAY: took([5])}, [TODAY])] == [None]
    assert [one.usual for one in failure_trend({TODAY: ended(3, 3)}, [TODAY])] == [None]


def test_days_without_runs_have_no_duration_and_no_share_but_cost_nothing() -> None:
    assert [one.value for one in spend_trend({}, [TODAY])] == [0]
    assert [one.value for one in duration_trend({}, [TODAY])] == [None]
    assert [one.value for one in failure_trend({}, [TODAY])] == [None]


def test_a_slow_day_is_unusual_only_if_it_has_some_runs() -> None:
    usual = {before(n): took([60 + n % 5] * 10) for n in range(1, 29)}

    [slow] = duration_trend({**usual, TODAY: took([600] * 5)}, [TODAY])
    [single] = duration_trend({**usual, TODAY: took([600])}, [TODAY])
    [like_before] = duration_trend({**usual, TODAY: took([62] * 5)}, [TODAY])

    assert [slow.is_unusual, single.is_unusual, like_before.is_unusual] == [True, False, False]


def test_failures_are_compared_with_30_days_by_the_exact_test() -> None:
    month = {before(n): ended(9, 1) for n in range(1, 31)}
    history = {**month, before(31): ended(0, 900), TODAY: ended(10, 10)}

    [today] = failure_trend(history, [TODAY])

    assert today.value == 0.5
    assert today.usual is not None
    assert today.usual.middle == pytest.approx(0.1)
    assert today.usual.compared == 300
    assert today.usual.high < 0.5
    assert today.is_unusual


def test_a_small_day_lies_in_a_wider_range_than_a_large_one() -> None:
    month = {before(n): ended(9, 1) for n in range(1, 31)}

    [small] = failure_trend({**month, TODAY: ended(3, 1)}, [TODAY])
    [large] = failure_trend({**month, TODAY: ended(300, 100)}, [TODAY])

    assert small.usual is not None
    assert large.usual is not None
    assert small.usual.high > large.usual.high
    assert not small.is_unusual
    assert large.is_unusual


def test_two_periods_differ_in_either_direction() -> None:
    few, many = Proportion(cases=5, total=100), Proportion(cases=30, total=100)

    better, worse = share_change(few, many), share_change(many, few)
    unclear = share_change(Proportion(cases=3, total=3), few)

    assert better.is_clear
    assert better.p == worse.p
    assert worse.interval[0] < 0.3 < worse.interval[1]
    assert unclear.p is None
    assert not unclear.is_clear


@given(
    st.dictionaries(st.sampled_from(list(StopReason)), st.integers(0, 50), min_size=1, max_size=12)
)
def test_a_part_of_the_history_is_judged_as_its_runs_are(counts: dict[StopReason, int]) -> None:
    statuses = {
        reason: RunStatus.COMPLETED
        if reason is StopReason.SUCCESS
        else RunStatus.KILLED
        if reason is StopReason.KILLED
        else RunStatus.FAILED
        for reason in counts
    }
    by_status = {
        status: sum(n for reason, n in counts.items() if statuses[reason] is status)
        for status in RunStatus
    }

    found = failures_among(Figures(by_status=by_status, by_stop_reason=counts))

    assert found.total == sum(n for r, n in counts.items() if is_judged(statuses[r], r))
    assert found.cases == sum(n for r, n in counts.items() if is_failure(statuses[r], r))


@given(
    present=st.integers(1_000, 100_000),
    earlier=st.integers(1_000, 100_000),
    share=st.floats(0.001, 0.999),
    factor=st.floats(0.9, 1.1),
)
def test_the_test_of_many_runs_is_that_of_scipy_and_quick(
    present: int, earlier: int, share: float, factor: float
) -> None:
    found = Proportion(cases=round(present * min(share * factor, 1)), total=present)
    baseline = Proportion(cases=round(earlier * share), total=earlier)
    table = [
        [found.cases, found.total - found.cases],
        [baseline.cases, baseline.total - baseline.cases],
    ]

    began = time.process_time()
    p = fisher_greater(found, baseline)
    used = time.process_time() - began

    expected = float(stats.fisher_exact(table, alternative="greater").pvalue)
    assert p == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert used < 0.5


def test_a_year_of_days_is_compared_quickly() -> None:
    histogram = Histogram.of([*range(1, 4000, 3)])
    history = {
        before(n): Figures(
            by_status={RunStatus.COMPLETED: 2500, RunStatus.FAILED: 240 + n % 30},
            by_stop_reason={StopReason.SUCCESS: 2500, StopReason.AGENT_ERROR: 240 + n % 30},
            durations=histogram,
            spend=Spend(reported_usd=Decimal(900 + n % 40), reported_runs=2740),
        )
        for n in range(421)
    }
    days = [before(n) for n in range(365)]

    began = time.process_time()
    trends = [trend(history, days) for trend in (spend_trend, duration_trend, failure_trend)]
    used = time.process_time() - began

    assert all(one.usual is not None for trend in trends for one in trend)
    assert used < 2
