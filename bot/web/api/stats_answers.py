"""The statistics of a period as JSON."""

from __future__ import annotations

from datetime import datetime

from bot.web.route import Answer
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.stats import KillStats, Period, Quantiles, Spend, Stats


class QuantilesAnswer(Answer):
    """Quantiles of `count` durations in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float


class SpendAnswer(Answer):
    """The cost of runs in US dollars, by its source."""

    reported: float
    reported_runs: int
    estimated: float
    estimated_runs: int
    unknown_runs: int


class RunStatsAnswer(Answer):
    """The runs requested in the period; counts of 0 are left out.

    Attributes:
        attention: Those of the completed ones that need a look.
    """

    count: int
    by_status: dict[RunStatus, int]
    by_stop_reason: dict[StopReason, int]
    attention: int
    spend: SpendAnswer


class KillStatsAnswer(Answer):
    """The kills requested in the period.

    Attributes:
        confirmed_share: Of those that are decided, from 0 to 1; `null` if none is.
        overall: From the request to the proof; kills of runs without processes are left out.
    """

    count: int
    confirmed: int
    confirmed_late: int
    unconfirmed: int
    in_progress: int
    before_start: int
    survivors: int
    confirmed_share: float | None
    overall: QuantilesAnswer | None
    by_phase: dict[Phase, QuantilesAnswer]


class StatsAnswer(Answer):
    """Runs, spend and kills of a period."""

    period: Period
    since: datetime
    until: datetime
    runs: RunStatsAnswer
    kills: KillStatsAnswer


def stats_answer(stats: Stats) -> StatsAnswer:
    """Statistics as JSON.  Pure."""
    return StatsAnswer(
        period=stats.period,
        since=stats.since,
        until=stats.until,
        runs=RunStatsAnswer(
            count=stats.runs.count,
            by_status=dict(stats.runs.by_status),
            by_stop_reason=dict(stats.runs.by_stop_reason),
            attention=stats.runs.attention,
            spend=spend_answer(stats.runs.spend),
        ),
        kills=_kills(stats.kills),
    )


def spend_answer(spend: Spend) -> SpendAnswer:
    """A cost by its source as JSON.  Pure."""
    return SpendAnswer(
        reported=float(spend.reported_usd),
        reported_runs=spend.reported_runs,
        estimated=float(spend.estimated_usd),
        estimated_runs=spend.estimated_runs,
        unknown_runs=spend.unknown_runs,
    )


def _kills(kills: KillStats) -> KillStatsAnswer:
    return KillStatsAnswer(
        count=kills.count,
        confirmed=kills.confirmed,
        confirmed_late=kills.confirmed_late,
        unconfirmed=kills.unconfirmed,
        in_progress=kills.in_progress,
        before_start=kills.before_start,
        survivors=kills.survivors,
        confirmed_share=kills.success_rate,
        overall=None if kills.overall is None else _quantiles(kills.overall),
        by_phase={phase: _quantiles(found) for phase, found in kills.by_phase.items()},
    )


def _quantiles(found: Quantiles) -> QuantilesAnswer:
    return QuantilesAnswer(count=found.count, p50=found.p50, p95=found.p95, p99=found.p99)
