"""The steps that an agent without a task list announces in its texts.  Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from core.domain.runs.step import Step, StepStatus
from core.domain.steps.kinds import is_marker, marker_source, marker_total
from core.domain.steps.markers import StepMarker


def apply_marker(previous: tuple[Step, ...], marker: StepMarker, now: datetime) -> tuple[Step, ...]:
    """Return the steps after the agent announced one; they replace phases.

    The announced step is in progress, and the one before it has ended.  With "2/5" there are
    five steps; those before the second one are over, although nothing more is known of them.
    """
    steps = {step.step_id: step for step in previous if is_marker(step)}
    known_total = next((marker_total(step) for step in steps.values()), None)
    total = max(marker.total or known_total or 0, *steps, marker.number) or None
    if marker.total is None and known_total is None:
        total = None
    for number in {*range(1, (total or 0) + 1), marker.number}:
        steps.setdefault(number, Step(step_id=number, name=f"Step {number}"))
    steps[marker.number] = _begun(steps[marker.number], marker, now)
    return tuple(
        replace(_passed(step, marker, now), source_id=marker_source(number, total))
        for number, step in sorted(steps.items())
    )


def _begun(step: Step, marker: StepMarker, now: datetime) -> Step:
    if marker.is_finished:
        is_over = step.status is StepStatus.COMPLETED
        ended_at = step.completed_at if is_over else now
        return replace(step, status=StepStatus.COMPLETED, completed_at=ended_at)
    return replace(
        step,
        name=marker.name or step.name,
        status=StepStatus.IN_PROGRESS,
        started_at=step.started_at or now,
        completed_at=None,
    )


def _passed(step: Step, marker: StepMarker, now: datetime) -> Step:
    """Another step, which is not the present one."""
    if step.step_id == marker.number:
        return step
    if step.status is StepStatus.IN_PROGRESS:
        return replace(step, status=StepStatus.COMPLETED, completed_at=now)
    if step.step_id < marker.number and step.status is StepStatus.PENDING:
        return replace(step, status=StepStatus.COMPLETED)
    return step
