"""Figures over a period: runs, what they cost, and how their kills went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, StopReason


class Period(StrEnum):
    """How far back figures go."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def length(self) -> timedelta:
        """The period as a duration."""
        return _LENGTHS[self]


_LENGTHS: Mapping[Period, timedelta] = {
    Period.DAY: timedelta(hours=24),
    Period.WEEK: timedelta(days=7),
    Period.MONTH: timedelta(days=30),
}


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """How long something took, in milliseconds, over `count` measurements."""

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class KillStats:
    """Kills asked for in a period.

    Attributes:
        confirmed: Proven: nothing was left running.
        unconfirmed: Something survived, and has not been proven gone since.
        confirmed_late: Of the confirmed, those that were unconfirmed for a while.
        before_start: Of the confirmed, those of runs that had not begun: nothing was there to
            end.  They are in no quantile, where they would flatter.
        overall: From the request to the proof.
        by_phase: How long kills stayed in each phase, for those that left it.
        survivors: Processes alive at the last look of the unconfirmed ones.
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
        """Kills that are neither proven nor known to have left something."""
        return self.count - self.confirmed - self.unconfirmed

    @property
    def success_rate(self) -> float | None:
        """Share of the decided kills that are proven; `None` while none is decided."""
        decided = self.confirmed + self.unconfirmed
        return self.confirmed / decided if decided else None


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What runs have cost, kept apart by how it is known.

    Attributes:
        reported_usd: As the agent program said, of `reported_runs` runs.
        estimated_usd: Usage times a price table, of `estimated_runs` runs.
        unknown_runs: Began, and nothing is known of their cost; not 0.
    """

    reported_usd: Decimal = Decimal(0)
    reported_runs: int = 0
    estimated_usd: Decimal = Decimal(0)
    estimated_runs: int = 0
    unknown_runs: int = 0


@dataclass(frozen=True, kw_only=True)
class RunStats:
    """Runs asked for in a period, as they stand now.  What there is none of is left out."""

    by_status: Mapping[RunStatus, int] = field(default_factory=dict)
    by_stop_reason: Mapping[StopReason, int] = field(default_factory=dict)
    spend: Spend = field(default_factory=Spend)

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.by_status.values())


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Everything that `stats` tells, read in one transaction."""

    period: Period
    since: datetime
    until: datetime
    runs: RunStats
    kills: KillStats
