"""`stats`: every value has its words, and unknown values are not shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.slack.views.stats import stats_message
from bot.words.kills import PHASE_WORDS
from bot.words.runs.endings import REASON_WORDS
from bot.words.runs.states import STATUS_WORDS
from bot.words.stats import PERIOD_TITLES
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.stats import KillStats, Period, Quantiles, RunStats, Spend, Stats
from tests.unit.view_helpers import NOW, assert_fits, assert_matches_snapshot, text_of

RUNS = RunStats(
    by_status={
        RunStatus.RUNNING: 1,
        RunStatus.COMPLETED: 8,
        RunStatus.FAILED: 3,
        RunStatus.KILLED: 2,
    },
    by_stop_reason={
        StopReason.SUCCESS: 8,
        StopReason.KILLED: 2,
        StopReason.MAX_TURNS: 2,
        StopReason.WORKER_LOST: 1,
    },
    spend=Spend(
        reported_usd=Decimal("12.4"),
        reported_runs=10,
        estimated_usd=Decimal("0.42"),
        estimated_runs=2,
        unknown_runs=1,
    ),
)
KILLS = KillStats(
    count=30,
    confirmed=27,
    unconfirmed=1,
    confirmed_late=2,
    before_start=3,
    survivors=2,
    overall=Quantiles(count=24, p50=1061.4, p95=5210, p99=5836),
    by_phase={
        Phase.REQUESTED: Quantiles(count=24, p50=12, p95=40.6, p99=90),
        Phase.INTERRUPTED: Quantiles(count=20, p50=980, p95=5001, p99=5003),
    },
)


def stats(runs: RunStats, kills: KillStats, period: Period = Period.WEEK) -> Stats:
    return Stats(period=period, since=NOW - period.length, until=NOW, runs=runs, kills=kills)


def test_stats_match_their_snapshot() -> None:
    drawn = stats_message(stats(RUNS, KILLS))

    assert_fits(drawn)
    assert_matches_snapshot("stats", drawn)


def test_empty_stats_match_their_snapshot() -> None:
    drawn = stats_message(stats(RunStats(), KillStats()))

    assert_fits(drawn)
    assert_matches_snapshot("stats_empty", drawn)


def test_completed_runs_with_something_left_to_do_are_counted_apart() -> None:
    shown = text_of(stats_message(stats(replace(RUNS, attention=3), KILLS)))

    assert "✅ 5 completed · ⚠️ 3 finished, with something left to do" in shown
    assert "✅" not in text_of(stats_message(stats(replace(RUNS, attention=8), KillStats())))


def test_known_and_unknown_costs_are_shown_separately() -> None:
    shown = text_of(stats_message(stats(RUNS, KILLS)))

    assert "$12.40 reported by 10 runs" in shown
    assert "$0.42 estimated for 2 runs" in shown
    assert "not known for 1 run, not included in the sums" in shown


def test_an_unconfirmed_kill_names_the_place_to_check() -> None:
    shown = text_of(stats_message(stats(RUNS, KILLS)))

    assert "27 proven · 1 unconfirmed · 2 under way · success 96.4 %" in shown
    assert "2 processes were still alive" in shown
    assert "`/workflow list failed` those that were given up" in shown


def test_a_kill_without_a_check_shows_no_number_of_processes() -> None:
    kills = KillStats(count=1, unconfirmed=1)

    shown = text_of(stats_message(stats(RUNS, kills)))

    assert "no worker could check the machine" in shown
    assert "0 processes" not in shown


@pytest.mark.parametrize(
    ("confirmed", "unconfirmed", "words"),
    [(9999, 1, "success 99.9 %"), (3, 0, "success 100 %"), (0, 2, "success 0.0 %")],
)
def test_a_hundred_percent_means_every_kill(confirmed: int, unconfirmed: int, words: str) -> None:
    kills = KillStats(count=confirmed + unconfirmed, confirmed=confirmed, unconfirmed=unconfirmed)

    assert words in text_of(stats_message(stats(RUNS, kills)))


def test_without_ended_kills_there_is_no_success_rate() -> None:
    kills = KillStats(count=2)

    assert kills.success_rate is None
    assert "success" not in text_of(stats_message(stats(RUNS, kills)))


def test_lookup_tables_are_total() -> None:
    assert set(PERIOD_TITLES) == set(Period)
    assert set(STATUS_WORDS) == set(RunStatus)
    assert set(REASON_WORDS) == set(StopReason)
    assert set(PHASE_WORDS) == set(Phase)
    assert [one.length for one in Period] == [timedelta(days=days) for days in (1, 7, 30)]
