"""The steps that people see: the agent's plan with the times and tools of each item.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from core.agent.plan import PLAN_TOOLS
from core.domain.runs.event import AgentEvent, PlanChanged, PlanItem, ToolStarted
from core.domain.runs.run import StopReason
from core.domain.runs.step import MAX_TOOLS, Step, StepStatus

_FINAL_STATUSES = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED})
_SETTLED = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
# Ends that are the agent's own failure; any other end interrupts it.
_FAILURES = frozenset({StopReason.AGENT_ERROR, StopReason.API_ERROR, StopReason.NO_RESULT})

# The names of the steps that stand in for a plan if the agent makes none.
_ACTIVITY_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "look": "Look around",
        "change": "Change files",
        "run": "Run commands",
        "delegate": "Delegate to helpers",
        "other": "Use other tools",
    }
)
_ACTIVITY_OF_TOOL: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("Read", "Grep", "Glob", "LS", "WebFetch", "WebSearch", "NotebookRead"), "look"
        ),
        **dict.fromkeys(("Edit", "Write", "MultiEdit", "NotebookEdit"), "change"),
        **dict.fromkeys(("Bash", "BashOutput", "KillShell"), "run"),
        **dict.fromkeys(("Task", "Agent", "Workflow"), "delegate"),
    }
)
_ACTIVITY_PREFIX = "phase:"


def fold_steps(
    previous: tuple[Step, ...],
    items: tuple[PlanItem, ...],
    events: Sequence[AgentEvent],
    *,
    now: datetime,
) -> tuple[Step, ...]:
    """Return the steps after `events`.

    A step of the plan records when it started and ended, and which tools the main agent called
    while it was in progress.  Without a plan there is one step for each kind of work, in the
    order in which they first occurred.

    Args:
        previous: The steps before `events`.
        items: The plan before `events`; a `PlanChanged` among them replaces it.
        events: What has happened since, oldest first.
        now: The time to record for changes.
    """
    steps = _apply_plan(previous, items, now) if items else previous
    for event in events:
        if isinstance(event, PlanChanged):
            if event.items:
                steps = _apply_plan(steps, event.items, now)
        elif isinstance(event, ToolStarted) and not event.is_subagent:
            steps = _apply_tool(steps, event, now)
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
    After a success, only the agent's own word completes an item of its plan; a kind of work, which
    stands in for a plan, ends with the run.
    """

    def end_step(step: Step) -> Step:
        if step.status is not StepStatus.IN_PROGRESS:
            return step
        if stop_reason in _FAILURES:
            return replace(step, status=StepStatus.FAILED, completed_at=now, error=error)
        if stop_reason is StopReason.SUCCESS and _is_activity(step):
            return replace(step, status=StepStatus.COMPLETED, completed_at=now)
        return replace(step, status=StepStatus.PENDING, completed_at=None)

    return tuple(end_step(step) for step in steps)


def count_left(steps: Sequence[Step]) -> int:
    """The number of steps that are neither completed nor dropped by the agent."""
    return sum(step.status not in _SETTLED for step in steps)


def plan_from_steps(steps: Sequence[Step]) -> tuple[PlanItem, ...]:
    """Return the plan for a session's next attempt; failed items become pending again."""
    return tuple(
        PlanItem(
            source_id=step.source_id,
            name=step.name,
            status=StepStatus.PENDING if step.status is StepStatus.FAILED else step.status,
            active_name=step.active_name,
        )
        for step in steps
        if step.source_id is not None and not step.source_id.startswith(_ACTIVITY_PREFIX)
    )


def _apply_plan(
    previous: tuple[Step, ...], items: tuple[PlanItem, ...], now: datetime
) -> tuple[Step, ...]:
    earlier = [step for step in previous if not _is_activity(step)]
    names = {item.name for item in items}
    steps = []
    for position, item in enumerate(items, start=1):
        known = _find_step(earlier, item, names)
        if known is not None:
            earlier.remove(known)
        steps.append(_update_step(known, item, position, now))
    return tuple(steps)


def _find_step(steps: Sequence[Step], item: PlanItem, names: Collection[str]) -> Step | None:
    """Find the earlier step of a plan item; TodoWrite may have moved or renamed it.

    `names` are all names of the new plan: a step with the same id whose old name is among them
    is another item.
    """
    same_id = [step for step in steps if step.source_id == item.source_id]
    same_name = [step for step in steps if step.name == item.name]
    both = [step for step in same_id if step.name == item.name]
    renamed = [step for step in same_id if step.name not in names]
    return next(iter((*both, *same_name, *renamed)), None)


def _update_step(known: Step | None, item: PlanItem, position: int, now: datetime) -> Step:
    step = known or Step(step_id=position, name=item.name)
    started_at, completed_at = step.started_at, step.completed_at
    if item.status is StepStatus.IN_PROGRESS:
        started_at, completed_at = started_at or now, None
    elif item.status in _FINAL_STATUSES:
        # An item that is finished when it first appears has no known end.
        if known is not None and known.status is not item.status:
            completed_at = now
    else:
        completed_at = None
    return replace(
        step,
        step_id=position,
        source_id=item.source_id,
        name=item.name,
        active_name=item.active_name,
        status=item.status,
        started_at=started_at,
        completed_at=completed_at,
        error=None,
    )


def _apply_tool(steps: tuple[Step, ...], event: ToolStarted, now: datetime) -> tuple[Step, ...]:
    if event.name in PLAN_TOOLS:
        return steps
    if steps and not any(_is_activity(step) for step in steps):
        current = next((step for step in steps if step.status is StepStatus.IN_PROGRESS), None)
        if current is None:
            return steps
        return tuple(_count_tool(step, event) if step is current else step for step in steps)
    source_id = _ACTIVITY_PREFIX + _ACTIVITY_OF_TOOL.get(event.name, "other")
    if all(step.source_id != source_id for step in steps):
        name = _ACTIVITY_NAMES[source_id.removeprefix(_ACTIVITY_PREFIX)]
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


def _is_activity(step: Step) -> bool:
    return bool(step.source_id and step.source_id.startswith(_ACTIVITY_PREFIX))
