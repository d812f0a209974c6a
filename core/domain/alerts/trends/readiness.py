"""Whether a workflow has enough runs for its trends to say anything."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.alerts.trends.cost_spike import LEAST_RUNS
from core.domain.alerts.trends.failure_rate import LEAST_BEFORE, WINDOWS

# The newest runs and those before them.
RUNS_FOR_FAILURE_RATE = min(WINDOWS) + LEAST_BEFORE
# The run itself and those it is compared with.
RUNS_FOR_COST_SPIKE = LEAST_RUNS + 1


@dataclass(frozen=True, kw_only=True)
class TrendReadiness:
    """How many runs of a workflow there are to compare.

    Attributes:
        judged: Runs of the last 30 days that say something about it: nobody stopped them, and no
            usage limit did.
        costed: Runs among the newest ones whose cost is known and not 0.
    """

    workflow: str
    judged: int
    costed: int

    @property
    def missing_for_failure_rate(self) -> int:
        """How many more runs `failure_rate` needs; 0 if it has enough."""
        return max(RUNS_FOR_FAILURE_RATE - self.judged, 0)

    @property
    def missing_for_cost_spike(self) -> int:
        """How many more runs with a cost `cost_spike` needs; 0 if it has enough."""
        return max(RUNS_FOR_COST_SPIKE - self.costed, 0)
