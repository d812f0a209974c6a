"""A step of a run: an item of the agent's plan."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

# The most different tools that are named of a step or of a run; calls of others are only counted.
MAX_TOOLS = 100


class StepStatus(StrEnum):
    """The status of a step."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One item of the plan, as last reported.

    Attributes:
        step_id: Its number, from 1, in the order in which steps first appeared.  It stays the same
            for the whole session.
        source_id: The agent's own id of the item ("1" of "Task #1"); of a step that stands in for
            a plan, see `core/domain/steps/kinds.py`; `None` for an item that the agent removed.
        name: The name that the agent gave it.
        active_name: The name while it is in progress ("Running tests").
        tools_used: The tools called during the step, each once.
        tool_calls: The number of calls.
        result: What the agent said last during the step.
        cost_usd: The cost of the model's answers during the step; `None` if it is unknown.
    """

    step_id: int
    name: str
    status: StepStatus = StepStatus.PENDING
    source_id: str | None = None
    active_name: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    result: str | None = None
    tools_used: tuple[str, ...] = ()
    tool_calls: int = 0
    cost_usd: Decimal | None = None
    error: str | None = None

    @property
    def is_interrupted(self) -> bool:
        """Whether it was begun and then left, by the agent or because the run stopped."""
        return self.status is StepStatus.PENDING and self.started_at is not None

    @property
    def duration(self) -> timedelta | None:
        """The time from its start to its end; `None` unless both are known."""
        if self.started_at is None or self.completed_at is None:
            return None
        return self.completed_at - self.started_at
