"""The steps people see: the agent's plan, with when and with what each item was done.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from core.agent.plan import PLAN_TOOLS
from core.domain.runs.event import AgentEvent, PlanChanged, PlanItem, ToolStarted
from core.domain.runs.step import Step, StepStatus

_FINAL_STATUSES = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED})

# What a tool is used for, when the agent has no plan to tell.
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
    """The steps after `events`.

    Each step of the plan knows when it began and ended and which of the main agent's tools
    were used while it was the one in progress.  Without a plan there is one step for each
    kind of work, in the order they first occurred.  `items` is the plan before `events`; a
    `PlanChanged` among these replaces it.
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
    steps: tuple[Step, ...], *, succeeded: bool, now: datetime, error: str | None = None
) -> tuple[Step, ...]:
    """The steps of a leg that is over: nothing stays in progress.

    After a failure the open step failed and the untouched ones stay pending, for a
    continued leg to do; after a success what was never begun was skipped.
    """
    ended = []
    for step in steps:
        if step.status is StepStatus.IN_PROGRESS:
            status = StepStatus.COMPLETED if succeeded else StepStatus.FAILED
            step = replace(  # noqa: PLW2901 - the ended one takes its place
                step, status=status, completed_at=now, error=None if succeeded else error
            )
        elif step.status is StepStatus.PENDING and succeeded:
            step = replace(step, status=StepStatus.SKIPPED)  # noqa: PLW2901 (as above)
        ended.append(step)
    return tuple(ended)


def plan_from_steps(steps: Sequence[Step]) -> tuple[PlanItem, ...]:
    """The plan that a session's next leg goes on with: what failed is to be done again."""
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
    """The step an item was before.  A rewritten list (of `names`) may move and rename items."""
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
        # A list that arrives with finished items does not tell when they were.
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
        current = next((s for s in steps if s.status is StepStatus.IN_PROGRESS), None)
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
    tools = known if event.name in known else (*known, event.name)
    return replace(step, tools_used=tools, tool_calls=step.tool_calls + 1)


def _is_activity(step: Step) -> bool:
    return bool(step.source_id and step.source_id.startswith(_ACTIVITY_PREFIX))
