"""What ended runs came to: their ends, duration, cost, and their kills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from core.domain.analytics.histogram import Histogram
from core.domain.runs.run import RunStatus, StopReason, Usage
from core.domain.runs.stats import Spend

KeyT = TypeVar("KeyT")


@dataclass(frozen=True, kw_only=True)
class KillTotals:
    """The kills that were requested.

    Attributes:
        confirmed: Kills with a proof that no process is left.
        unconfirmed: Kills that some process survived, without a later proof.
        times: From the request to the proof, in milliseconds, of confirmed kills of runs that had
            begun.
    """

    count: int = 0
    confirmed: int = 0
    unconfirmed: int = 0
    times: Histogram = field(default_factory=Histogram)

    def __add__(self, other: KillTotals) -> KillTotals:
        return KillTotals(
            count=self.count + other.count,
            confirmed=self.confirmed + other.confirmed,
            unconfirmed=self.unconfirmed + other.unconfirmed,
            times=self.times + other.times,
        )


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The runs that ended, and the kills that were requested.

    Attributes:
        by_status: The runs by their final status; zero counts are left out.
        by_stop_reason: The same by why they ended.
        attention: Those of the completed runs whose outcome is not clean.
        durations: From the start to the end of runs that had begun, in seconds.
        spend: What their agent processes cost, by the ledger.
        usage: The tokens of all agent processes whose tokens are known.
        unknown_usage: The number of the other agent processes.
        turns: The model's answers to the main agents.
    """

    by_status: Mapping[RunStatus, int] = field(default_factory=dict)
    by_stop_reason: Mapping[StopReason, int] = field(default_factory=dict)
    attention: int = 0
    durations: Histogram = field(default_factory=Histogram)
    spend: Spend = field(default_factory=Spend)
    usage: Usage = field(default_factory=Usage)
    unknown_usage: int = 0
    turns: int = 0
    tool_calls: int = 0
    kills: KillTotals = field(default_factory=KillTotals)

    @property
    def runs(self) -> int:
        """The number of all runs."""
        return sum(self.by_status.values())

    def of_status(self, status: RunStatus) -> int:
        """The number of runs that ended with this status."""
        return self.by_status.get(status, 0)

    @property
    def clean_share(self) -> float | None:
        """The share of runs that completed and need no look, from 0 to 1; `None` without runs."""
        if not self.runs:
            return None
        return (self.of_status(RunStatus.COMPLETED) - self.attention) / self.runs

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            by_status=_added(self.by_status, other.by_status),
            by_stop_reason=_added(self.by_stop_reason, other.by_stop_reason),
            attention=self.attention + other.attention,
            durations=self.durations + other.durations,
            spend=self.spend + other.spend,
            usage=self.usage + other.usage,
            unknown_usage=self.unknown_usage + other.unknown_usage,
            turns=self.turns + other.turns,
            tool_calls=self.tool_calls + other.tool_calls,
            kills=self.kills + other.kills,
        )


def _added(some: Mapping[KeyT, int], others: Mapping[KeyT, int]) -> dict[KeyT, int]:
    return dict(Counter(some) + Counter(others))
