"""Legs that are started without a person, after the turn limit.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from core.domain.failures.retry_policy import AutoContinue
from core.domain.runs.run import Run
from core.domain.runs.snapshot import SessionTotal

# In the metadata of an automatic leg: which it is, and what had been spent.
AUTOMATIC_LEG_KEY = "automatic_leg"
# In the metadata of a run that was not continued automatically although its workflow does that.
NOT_CONTINUED_KEY = "not_continued"


class LegRefusal(StrEnum):
    """Why no further leg is started automatically."""

    LEGS_USED = "legs_used"
    BUDGET_USED = "budget_used"
    COST_UNKNOWN = "cost_unknown"


@dataclass(frozen=True, kw_only=True)
class AutomaticLeg:
    """A leg that was started automatically, and the limits that it kept.

    Attributes:
        number: Which it is since a person last started or continued the session, from 1.
        limit: How many there may be.
        spent_usd: What all earlier runs of the session have cost.
        budget_usd: What the session may cost in all.
    """

    number: int
    limit: int
    spent_usd: Decimal
    budget_usd: Decimal

    @classmethod
    def of_run(cls, run: Run) -> AutomaticLeg | None:
        """Read a run's metadata; `None` if a person started it."""
        stored = run.metadata.get(AUTOMATIC_LEG_KEY)
        if not isinstance(stored, Mapping):
            return None
        try:
            return cls(
                number=int(stored["number"]),
                limit=int(stored["limit"]),
                spent_usd=Decimal(str(stored["spent_usd"])),
                budget_usd=Decimal(str(stored["budget_usd"])),
            )
        except (KeyError, TypeError, ValueError, InvalidOperation):
            return None

    def to_json(self) -> dict[str, Any]:
        """The value in a run's metadata."""
        return {
            "number": self.number,
            "limit": self.limit,
            "spent_usd": str(self.spent_usd),
            "budget_usd": str(self.budget_usd),
        }


def next_leg(ended: Run, limits: AutoContinue, total: SessionTotal) -> AutomaticLeg | LegRefusal:
    """The automatic leg after a run that its turn limit ended, or why there is none.

    Args:
        ended: The run that has ended.
        limits: Those of its workflow.
        total: Of all runs of the session, the ended one included.
    """
    before = AutomaticLeg.of_run(ended)
    number = 1 if before is None else before.number + 1
    if number > limits.legs:
        return LegRefusal.LEGS_USED
    if total.cost_usd is None or total.spent.unknown:
        # Nobody could say when the limit is reached.
        return LegRefusal.COST_UNKNOWN
    if total.cost_usd >= limits.budget_usd:
        return LegRefusal.BUDGET_USED
    return AutomaticLeg(
        number=number, limit=limits.legs, spent_usd=total.cost_usd, budget_usd=limits.budget_usd
    )


def refusal_of_run(run: Run) -> LegRefusal | None:
    """Why a run was not continued automatically; `None` if that was not asked for."""
    stored = run.metadata.get(NOT_CONTINUED_KEY)
    return next((one for one in LegRefusal if one.value == stored), None)


def refusal_metadata(refusal: LegRefusal) -> dict[str, Any]:
    """The change of a run's metadata that says so."""
    return {NOT_CONTINUED_KEY: refusal.value}
