"""The limits from which on things are told, as a team may set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType

# Unless the team sets another limit.
COST_LIMIT_USD = Decimal(10)


@dataclass(frozen=True, kw_only=True)
class StallLimits:
    """How long nothing may be heard of a run.

    Attributes:
        idle: While the model, the agent program or the workspace is waited for.
        tool: While a tool call is open whose programs use no processor and write nothing.
        person: While a person, a budget or a usage limit is waited for.
    """

    idle: timedelta = timedelta(minutes=5)
    tool: timedelta = timedelta(minutes=10)
    person: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class AlertLimits:
    """All limits.

    Attributes:
        stall: Of every workflow that has none of its own.
        by_workflow: Of single workflows.
        long_running: Of a run's whole duration.
        queue: How long a run that no cap holds back may wait for a worker.
        cost_usd: From this cost on a run is told as `cost`, in US dollars.
        slack_lag: How late Slack may show something.
    """

    stall: StallLimits = field(default_factory=StallLimits)
    by_workflow: Mapping[str, StallLimits] = field(default_factory=lambda: MappingProxyType({}))
    long_running: timedelta = timedelta(hours=2)
    queue: timedelta = timedelta(minutes=10)
    cost_usd: Decimal = COST_LIMIT_USD
    slack_lag: timedelta = timedelta(minutes=1)

    def stall_of(self, workflow: str) -> StallLimits:
        """The limits of a workflow."""
        return self.by_workflow.get(workflow, self.stall)
