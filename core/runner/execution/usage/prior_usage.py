"""The usage of a run's earlier attempts, to which the present attempt adds its own.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from core.domain.price import plausible_usd
from core.domain.runs.activity.refused_hosts import RefusedHosts
from core.domain.runs.outcome import TESTS_KEY
from core.domain.runs.run import CostSource, Run, Usage
from core.domain.test_output.counts import ResultsByEcosystem, results_of_json
from core.runner.execution.answers import Cost

# The agent program accepts no budget of zero; this one ends with the first answer.
_MIN_BUDGET_USD = Decimal("0.0001")


@dataclass(frozen=True, kw_only=True)
class PriorUsage:
    """The usage of a run's earlier attempts, as the row has it when an attempt begins."""

    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal | None = None
    cost_source: CostSource | None = None
    turns: int = 0
    tool_calls: int = 0
    tools_used: tuple[str, ...] = ()
    refused_hosts: RefusedHosts = field(default_factory=RefusedHosts)
    tests: ResultsByEcosystem = field(default_factory=dict)

    @classmethod
    def of_run(cls, run: Run) -> PriorUsage:
        """The usage of a run so far."""
        return cls(
            usage=run.usage,
            cost_usd=run.cost_usd,
            cost_source=run.cost_source,
            turns=run.turns,
            tool_calls=run.tool_calls,
            tools_used=run.tools_used,
            refused_hosts=RefusedHosts.of_run(run),
            tests=results_of_json(run.metadata.get(TESTS_KEY)),
        )

    @property
    def is_zero(self) -> bool:
        """Whether no earlier attempt received an answer of the model."""
        return not self.turns and self.usage == Usage()

    @property
    def has_known_tokens(self) -> bool:
        """Whether the tokens of the earlier attempts are known, see `Run.has_known_tokens`."""
        return not self.turns or self.usage != Usage()

    def total_cost(self, cost: Cost, *, has_answer: bool) -> Cost:
        """The cost of all attempts together.

        The sum is unknown if any part is unknown or the sum cannot be true, and estimated if any
        part is estimated.

        Args:
            cost: Amount and source of the present attempt's cost; both `None` while unknown.
            has_answer: Whether the present attempt received an answer of the model.
        """
        if self.is_zero:
            return cost
        own, source = cost
        if not has_answer:
            return self.cost_usd, self.cost_source
        if own is None or self.cost_usd is None:
            return None, None
        is_reported = {source, self.cost_source} == {CostSource.REPORTED}
        total = plausible_usd(own + self.cost_usd)
        if total is None:
            return None, None
        return total, CostSource.REPORTED if is_reported else CostSource.ESTIMATED


def turns_left(run: Run, limit: int) -> int:
    """The turn limit of an attempt that begins now; at least one, so that the agent can finish."""
    return max((run.max_turns or limit) - max(run.turns, 0), 1)


def budget_left(run: Run, ceiling: Decimal | None = None) -> Decimal | None:
    """The cost limit of an attempt that begins now; `None` is no limit.

    It never exceeds the budget of the run, whatever the row says was spent.

    Args:
        run: The run.
        ceiling: What all attempts of a run that is tried again may cost; `None` is no limit.
    """
    limits = [run.budget_usd]
    if run.attempt > 1:
        limits.append(ceiling)
    limit = min((one for one in limits if one is not None), default=None)
    if limit is None:
        return None
    spent = plausible_usd(run.cost_usd) or Decimal(0)
    return max(limit - spent, _MIN_BUDGET_USD)
