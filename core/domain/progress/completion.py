"""How far a run is, by its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.runs.step import Step, StepStatus
from core.domain.steps.kinds import is_marker, is_stand_in, marker_total


@dataclass(frozen=True, kw_only=True)
class StepCount:
    """The number of steps that are done, and of all that are known to be needed.

    Steps that the agent has dropped are not needed.
    """

    done: int
    total: int

    @property
    def percentage(self) -> float:
        """The share that is done, from 0 to 100."""
        return round(100 * self.done / self.total, 1)


def step_count(steps: Sequence[Step]) -> StepCount | None:
    """How many steps are done of how many; `None` if the number of all is unknown.

    It is known from a plan, or if the agent said it ("Step 2/5").  Phases of work are no plan.
    """
    planned = _planned(steps)
    needed = planned or [step for step in steps if is_marker(step) and marker_total(step)]
    return _count(needed)


def success_rate(steps: Sequence[Step]) -> float | None:
    """The share of the plan's steps that are completed, from 0 to 100; `None` without a plan."""
    count = _count(_planned(steps))
    return None if count is None else count.percentage


def _planned(steps: Sequence[Step]) -> list[Step]:
    return [step for step in steps if not is_stand_in(step)]


def _count(steps: Sequence[Step]) -> StepCount | None:
    needed = [step for step in steps if step.status is not StepStatus.SKIPPED]
    if not needed:
        return None
    done = sum(step.status is StepStatus.COMPLETED for step in needed)
    return StepCount(done=done, total=len(needed))
