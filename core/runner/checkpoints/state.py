"""What an attempt knows of its checkpoints; its tasks share it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.step import Step, StepStatus
from core.workspace.checkpoints.taking import TakenFiles


@dataclass
class CheckpointState:
    """The checkpoints of an attempt, and what makes the next one due.

    Attributes:
        known: The checkpoints of the session's lineage, oldest first; `None` until they are read.
        taken: The files of the newest one that was taken in this attempt.
        ended_step: The step that ended last, until its checkpoint is begun.
        step_ended: Set when a step has ended.
        is_closing: Whether the agent has ended, so that only the last checkpoint follows.
        is_size_reported: Whether people were told already that the changed files are too large.
        task: Takes checkpoints while the agent works.
    """

    known: list[Checkpoint] | None = None
    taken: TakenFiles | None = None
    ended_step: Step | None = None
    step_ended: asyncio.Event = field(default_factory=asyncio.Event)
    is_closing: bool = False
    is_size_reported: bool = False
    task: asyncio.Task[None] | None = None
    _steps: Sequence[Step] = ()
    _ends: dict[int, datetime | None] = field(default_factory=dict)

    def begin_with(self, steps: Sequence[Step]) -> None:
        """Begin with the steps of earlier attempts or legs, whose ends are no news."""
        self._steps = steps
        self._ends = {step.step_id: step.completed_at for step in steps}

    def follow(self, steps: Sequence[Step]) -> None:
        """Notice the steps that have ended since the last call."""
        if steps is self._steps:
            return
        self._steps = steps
        for step in steps:
            ended_at = step.completed_at
            if ended_at is not None and self._ends.get(step.step_id) != ended_at:
                self.ended_step = step
                self.step_ended.set()
            self._ends[step.step_id] = ended_at

    @property
    def present_step(self) -> Step | None:
        """The step in progress, or else the one that was begun last; `None` if there is none."""
        in_progress = [one for one in self._steps if one.status is StepStatus.IN_PROGRESS]
        begun = in_progress or [one for one in self._steps if one.started_at is not None]
        return max(begun, key=_last_moment, default=None)

    def stop(self) -> None:
        """Take no more checkpoints while the agent works, and leave the one in hand."""
        self.is_closing = True
        if self.task is not None:
            self.task.cancel()


def _last_moment(step: Step) -> tuple[datetime, int]:
    moment = step.completed_at or step.started_at
    if moment is None:
        raise ValueError("a step that was not begun")
    return moment, step.step_id
