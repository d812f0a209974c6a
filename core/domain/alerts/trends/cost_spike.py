"""Whether a run, or a day, was much more expensive than usual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from core.domain.alerts.trends.statistics import robust_z

# Runs of the same workflow to compare with: at least so many, at most that many.
LEAST_RUNS = 12
MOST_RUNS = 200
# The same weekday of so many weeks before; at least so many of them need to have spent something.
WEEKS = 8
LEAST_WEEKS = 4
MAX_Z = 3.5
LEAST_FACTOR = 2
LEAST_USD = Decimal(1)
# Costs that differ by less than 10 % from the median are usual: natural logarithm of 1.1.
_FLOOR = math.log(1.1)


@dataclass(frozen=True, kw_only=True)
class CostSpike:
    """A cost against the usual ones, all in US dollars.

    Attributes:
        z: How many robust standard deviations its logarithm is above the median.
        compared: How many costs it was compared with.
    """

    cost_usd: Decimal
    median_usd: Decimal
    z: float
    compared: int

    @property
    def factor(self) -> float:
        """How many times the usual cost it is."""
        return float(self.cost_usd / self.median_usd)

    @property
    def is_raised(self) -> bool:
        """Whether an alert fires."""
        return (
            self.z > MAX_Z
            and self.cost_usd >= LEAST_USD
            and self.cost_usd >= LEAST_FACTOR * self.median_usd
        )


def cost_spike(cost: Decimal, others: Sequence[Decimal], *, least: int) -> CostSpike | None:
    """Compare a cost with earlier ones, of which it is none.

    Costs of 0 are left out: they have no logarithm, and say that nothing was paid.

    Args:
        cost: The cost to judge.
        others: The costs to compare with.
        least: With fewer of them nothing can be said.

    Returns:
        `None` if there are too few to compare with, or the cost is 0.
    """
    usual = [other for other in others if other > 0]
    if len(usual) < max(least, 1) or cost <= 0:
        return None
    logarithms = [math.log(other) for other in usual]
    return CostSpike(
        cost_usd=cost,
        median_usd=Decimal(median(usual)),
        z=robust_z(math.log(cost), logarithms, floor=_FLOOR),
        compared=len(usual),
    )
