"""The ledger: what each agent process cost, and what several of them cost together.

One entry is one agent process: one attempt of a run.  What it reported, what was estimated for it,
and what is not known are never added up with each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from core.domain.runs.run import CostSource, Usage


class EntrySource(StrEnum):
    """Where the cost of an agent process comes from."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"

    @classmethod
    def of_cost(cls, cost_usd: Decimal | None, source: CostSource | None) -> EntrySource:
        """The source of a cost; one without a source counts as estimated."""
        if cost_usd is None:
            return cls.UNKNOWN
        return cls.REPORTED if source is CostSource.REPORTED else cls.ESTIMATED


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """What one agent process used.

    Attributes:
        run_id: The id of the run's row (not `run_…`).
        cost_usd: In US dollars; `None` exactly if its source is unknown.
        usage: Its tokens, subagents included; `None` if they are unknown.
        turns: The model's answers to the main agent.
        recorded_at: When the entry was written last.
    """

    run_id: UUID
    session_id: UUID
    attempt: int
    source: EntrySource
    cost_usd: Decimal | None
    usage: Usage | None
    turns: int
    recorded_at: datetime

    @property
    def cost_source(self) -> CostSource | None:
        """The source of the cost as runs have it; `None` if it is unknown."""
        return None if self.source is EntrySource.UNKNOWN else CostSource(self.source.value)


@dataclass(frozen=True, kw_only=True)
class LedgerSum:
    """What several agent processes used together.

    Attributes:
        reported_usd: The sum of what `reported` processes reported.
        estimated_usd: The sum of what was estimated for `estimated` processes.
        unknown: The number of processes whose cost is unknown, which is not 0.
        usage: The tokens of all processes whose tokens are known.
        unknown_usage: The number of the others.
    """

    turns: int = 0
    reported_usd: Decimal = Decimal(0)
    reported: int = 0
    estimated_usd: Decimal = Decimal(0)
    estimated: int = 0
    unknown: int = 0
    usage: Usage = field(default_factory=Usage)
    unknown_usage: int = 0

    @classmethod
    def of_entries(cls, entries: Iterable[LedgerEntry]) -> LedgerSum:
        """The sum of some entries."""
        return sum((cls.of_entry(entry) for entry in entries), cls())

    @classmethod
    def of_entry(cls, entry: LedgerEntry) -> LedgerSum:
        """One entry as a sum."""
        cost = entry.cost_usd or Decimal(0)
        is_reported = entry.source is EntrySource.REPORTED
        is_estimated = entry.source is EntrySource.ESTIMATED
        return cls(
            turns=entry.turns,
            reported_usd=cost if is_reported else Decimal(0),
            reported=int(is_reported),
            estimated_usd=cost if is_estimated else Decimal(0),
            estimated=int(is_estimated),
            unknown=int(entry.source is EntrySource.UNKNOWN),
            usage=entry.usage or Usage(),
            unknown_usage=int(entry.usage is None),
        )

    @property
    def processes(self) -> int:
        """The number of agent processes."""
        return self.reported + self.estimated + self.unknown

    @property
    def known_usd(self) -> Decimal | None:
        """What is known of the cost, reported or estimated; `None` if nothing is."""
        if not self.reported and not self.estimated:
            return None
        return self.reported_usd + self.estimated_usd

    @property
    def known_source(self) -> CostSource | None:
        """The source of `known_usd`: reported only if all of it is."""
        if self.known_usd is None:
            return None
        return CostSource.ESTIMATED if self.estimated else CostSource.REPORTED

    def __add__(self, other: LedgerSum) -> LedgerSum:
        return LedgerSum(
            turns=self.turns + other.turns,
            reported_usd=self.reported_usd + other.reported_usd,
            reported=self.reported + other.reported,
            estimated_usd=self.estimated_usd + other.estimated_usd,
            estimated=self.estimated + other.estimated,
            unknown=self.unknown + other.unknown,
            usage=self.usage + other.usage,
            unknown_usage=self.unknown_usage + other.unknown_usage,
        )
