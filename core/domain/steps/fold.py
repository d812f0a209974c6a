"""The steps that people see: what the agent plans or announces, with times and tools.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from core.domain.runs.event import AgentEvent, AgentText, PlanChanged, PlanItem, ToolStarted
from core.domain.runs.run import StopReason
from core.domain.runs.step import MAX_TOOLS, Step, StepStatus
from core.domain.steps.announced import apply_marker
from core.domain.steps.kinds import PLAN_TOOLS, is_phase, is_stand_in, phase_of
from core.domain.steps.markers import read_marker
from core.domain.steps.planned import apply_plan

_SETTLED = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
# Ends that are the agent's own failure; any other end interrupts it.
_FAILURES = frozenset({StopReason.AGENT_ERROR, StopReason.API_ERROR, StopReason.NO_RESULT})
_MAX_RESULT_CHARS = 300


def fold_steps(
    previous: tuple[Step, ...],
    items: tuple[PlanItem, ...],
    events: Sequence[AgentEvent],
    *,
    now: datetime,
) -> tuple[Step, ...]:
    """Return the steps after `events`.

    A step records when it started and ended, which tools the main agent called while it was in
    progress, and what it said last.  Subagents change nothing.  Without a plan there is one step
    for each step that the agent announces, else for each phase of its work, in the order in which
    they first occurred.

    Args:
        previous: The steps before `events`.
        items: The plan before `events`; a `PlanChanged` among them replaces it.
        events: What has happened since, oldest first.
        now: The time to record for changes.
    """
    steps = apply_plan(previous, items, now) if items else previous
    for event in events:
        match event:
            case PlanChanged() if event.items:
                steps = apply_plan(steps, event.items, now)
            case ToolStarted(is_subagent=False) if event.name not in PLAN_TOOLS:
                steps = _apply_tool(steps, event, now)
            case AgentText(is_subagent=False):
                steps = _apply_text(steps, event.text, now)
            case _:
                pass
    return steps


def end_steps(
    steps: tuple[Step, ...],
    *,
    stop_reason: StopReason,
    now: datetime,
    error: str | None = None,
) -> tuple[Step, ...]:
    """Return the steps of a run that has ended: none of them is in progress.

    A step in progress has failed with `error` only if the agent failed in it.  Otherwise it was
    interrupted: it is pending again and keeps its start, since the session's next run may do it.
    After a success, only the agent's own word completes an item of its plan; what stands in for a
    plan ends with the run.
    """

    def end_step(step: Step) -> Step:
        if step.status is not StepStatus.IN_PROGRESS:
            return step
        if stop_reason in _FAILURES:
            return replace(step, status=StepStatus.FAILED, completed_at=now, error=error)
        if stop_reason is StopReason.SUCCESS and is_stand_in(step):
            return replace(step, status=StepStatus.COMPLETED, completed_at=now)
        return replace(step, status=StepStatus.PENDING, completed_at=None)

    return tuple(end_step(step) for step in steps)


def count_left(steps: Sequence[Step]) -> int:
    """The number of items of the plan that are neither completed nor dropped by the agent."""
    return sum(not is_stand_in(step) and step.status not in _SETTLED for step in steps)


def step_in_progress(steps: Sequence[Step]) -> Step | None:
    """The first step in progress, if there is one."""
    return next((step for step in steps if step.status is StepStatus.IN_PROGRESS), None)


def _apply_text(steps: tuple[Step, ...], text: str, now: datetime) -> tuple[Step, ...]:
    is_planned = any(not is_stand_in(step) for step in steps)
    marker = None if is_planned else read_marker(text)
    if marker is not None:
        return apply_marker(steps, marker, now)
    current = step_in_progress(steps)
    if current is None or is_phase(current):
        return steps
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    said = line if len(line) <= _MAX_RESULT_CHARS else f"{line[: _MAX_RESULT_CHARS - 1]}…"
    return tuple(replace(step, result=said) if step is current else step for step in steps)


def _apply_tool(steps: tuple[Step, ...], event: ToolStarted, now: datetime) -> tuple[Step, ...]:
    if any(not is_phase(step) for step in steps):
        current = step_in_progress(steps)
        return tuple(_count_tool(step, event) if step is current else step for step in steps)
    source_id, name = phase_of(event.name)
    if all(step.source_id != source_id for step in steps):
        steps = (*steps, Step(step_id=len(steps) + 1, name=name, source_id=source_id))
    return tuple(
        replace(
            _count_tool(step, event),
            status=StepStatus.IN_PROGRESS,
            started_at=step.started_at or now,
            completed_at=None,
        )
        if step.source_id == source_id
        else replace(step, status=StepStatus.COMPLETED, completed_at=step.completed_at or now)
        for step in steps
    )


def _count_tool(step: Step, event: ToolStarted) -> Step:
    known = step.tools_used
    is_named = event.name in known or len(known) >= MAX_TOOLS
    tools = known if is_named else (*known, event.name)
    return replace(step, tools_used=tools, tool_calls=step.tool_calls + 1)
