"""Statistics of a period: runs, their cost, and their kills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, StopReason


class Period(StrEnum):
    """The period that statistics cover."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def length(self) -> timedelta:
        """The length of the period."""
        return _LENGTHS[self]


_LENGTHS: Mapping[Period, timedelta] = {
    Period.DAY: timedelta(hours=24),
    Period.WEEK: timedelta(days=7),
    Period.MONTH: timedelta(days=30),
}


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """Quantiles of `count` durations in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class KillStats:
    """Statistics of the kills requested in a period.

    Attributes:
        confirmed: Kills with a proof that no process is left.
        unconfirmed: Kills that some process survived, without a later proof.
        confirmed_late: Those of the confirmed that were unconfirmed for some time.
        before_start: Those of the confirmed whose runs had not started, so that there was no
            process to end.  The quantiles leave them out, since they would look too good.
        overall: The time from the request to the proof.
        by_phase: The time that kills spent in each phase; only phases that have ended count.
        survivors: The number of processes alive at the last scan of the unconfirmed kills.
    """

    count: int = 0
    confirmed: int = 0
    unconfirmed: int = 0
    confirmed_late: int = 0
    before_start: int = 0
    overall: Quantiles | None = None
    by_phase: Mapping[Phase, Quantiles] = field(default_factory=dict)
    survivors: int = 0

    @property
    def in_progress(self) -> int:
        """The number of kills that are neither confirmed nor unconfirmed yet."""
        return self.count - self.confirmed - self.unconfirmed

    @property
    def success_rate(self) -> float | None:
        """The confirmed share of all kills that are not in progress; `None` if there are none."""
        decided = self.confirmed + self.unconfirmed
        return self.confirmed / decided if decided else None


@dataclass(frozen=True, kw_only=True)
class Spend:
    """The cost of runs, by its source.

    Attributes:
        reported_usd: The sum of costs that the agent program reported.
        reported_runs: Runs whose known cost was all reported.
        estimated_usd: The sum of estimates from a price table.
        estimated_runs: Runs of whose cost a part was estimated, or all of it.
        unknown_runs: The number of runs that started and whose cost is unknown (which is not 0).
    """

    reported_usd: Decimal = Decimal(0)
    reported_runs: int = 0
    estimated_usd: Decimal = Decimal(0)
    estimated_runs: int = 0
    unknown_runs: int = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(
            reported_usd=self.reported_usd + other.reported_usd,
            reported_runs=self.reported_runs + other.reported_runs,
            estimated_usd=self.estimated_usd + other.estimated_usd,
            estimated_runs=self.estimated_runs + other.estimated_runs,
            unknown_runs=self.unknown_runs + other.unknown_runs,
        )


@dataclass(frozen=True, kw_only=True)
class RunStats:
    """The runs requested in a period, by their present state; zero counts are left out.

    Attributes:
        attention: Those of the completed runs whose outcome is not clean.
    """

    by_status: Mapping[RunStatus, int] = field(default_factory=dict)
    by_stop_reason: Mapping[StopReason, int] = field(default_factory=dict)
    spend: Spend = field(default_factory=Spend)
    attention: int = 0

    @property
    def count(self) -> int:
        """The number of all runs."""
        return sum(self.by_status.values())


@dataclass(frozen=True, kw_only=True)
class Stats:
    """The statistics of a period, read in one transaction."""

    period: Period
    since: datetime
    until: datetime
    runs: RunStats
    kills: KillStats
