"""How the states of steps look, and their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.domain.runs.step import Step, StepStatus


@dataclass(frozen=True, kw_only=True)
class StepState:
    """The state of a step.

    Attributes:
        tone: The name of a class and of an icon.
    """

    tone: str
    words: str


STEP_STATES: Mapping[StepStatus, StepState] = MappingProxyType(
    {
        StepStatus.PENDING: StepState(tone="queued", words="to do"),
        StepStatus.IN_PROGRESS: StepState(tone="running", words="in progress"),
        StepStatus.COMPLETED: StepState(tone="clean", words="done"),
        StepStatus.FAILED: StepState(tone="failed", words="failed"),
        StepStatus.SKIPPED: StepState(tone="skipped", words="dropped"),
    }
)
# One that was begun and then left is paused, as Slack's cards say.
PAUSED = StepState(tone="paused", words="interrupted")


def step_state(step: Step) -> StepState:
    """The state of a step.  Pure."""
    return PAUSED if step.is_interrupted else STEP_STATES[step.status]
