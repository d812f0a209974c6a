"""The steps of the agent's task list.  Pure.

A step keeps its id for the whole session: over a list that is rewritten, the next attempt, and
the next leg.  Ids are given in the order in which items first appear, and never again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from core.domain.runs.event import PlanItem
from core.domain.runs.step import Step, StepStatus
from core.domain.steps.kinds import is_stand_in

_FINAL_STATUSES = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED})
# With the items that an agent has removed from its list; the list itself has a limit of 100.
MAX_STEPS = 300

_Key = Callable[[Step | PlanItem], object]


def apply_plan(
    previous: tuple[Step, ...], items: Sequence[PlanItem], now: datetime
) -> tuple[Step, ...]:
    """Return the steps after the task list has become `items`; they replace what stood in for it.

    An item is an earlier step if id and name are the same, else if the name is (the list was
    reordered), else if the id is (it was renamed).  A step that is no longer in the list stays,
    completed or dropped by the agent.
    """
    earlier = [step for step in previous if not is_stand_in(step)]
    known = _match(earlier, items)
    next_id = max((step.step_id for step in earlier), default=0) + 1
    steps = {step.step_id: _removed(step, now) for step in earlier}
    for position, item in enumerate(items):
        step = known.get(position)
        if step is None:
            step = Step(step_id=next_id, name=item.name)
            next_id += 1
        steps[step.step_id] = _update(step, item, now, is_new=position not in known)
    return _bounded([steps[step_id] for step_id in sorted(steps)])


def plan_from_steps(steps: Sequence[Step]) -> tuple[PlanItem, ...]:
    """Return the task list for a session's next attempt; failed items become pending again."""
    return tuple(
        PlanItem(
            source_id=step.source_id,
            name=step.name,
            status=StepStatus.PENDING if step.status is StepStatus.FAILED else step.status,
            active_name=step.active_name,
        )
        for step in steps
        if step.source_id is not None and not is_stand_in(step)
    )


def steps_for_next_leg(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with which a session's next run begins: the same ids, nothing done in it yet.

    Times, tools and costs belong to the run in which they were measured.
    """
    return tuple(
        Step(
            step_id=step.step_id,
            source_id=step.source_id,
            name=step.name,
            active_name=step.active_name,
            status=step.status
            if step.status in (StepStatus.COMPLETED, StepStatus.SKIPPED)
            else StepStatus.PENDING,
        )
        for step in steps
        if not is_stand_in(step)
    )


def _match(earlier: Sequence[Step], items: Sequence[PlanItem]) -> dict[int, Step]:
    """Find the earlier step of each item, by the item's position; new items are missing."""
    names = {item.name for item in items}
    left = {step.step_id: step for step in earlier}
    found: dict[int, Step] = {}
    passes: tuple[tuple[_Key, Callable[[Step, PlanItem], bool]], ...] = (
        (lambda one: (one.source_id, one.name), lambda _step, _item: True),
        (lambda one: one.name, _may_return),
        (lambda one: one.source_id, lambda step, item: _may_be_renamed(step, item, names)),
    )
    for key_of, is_same in passes:
        by_key: defaultdict[object, list[Step]] = defaultdict(list)
        for step in reversed(left.values()):
            by_key[key_of(step)].append(step)
        for position, item in enumerate(items):
            candidates = by_key.get(key_of(item))
            if position in found or not candidates or not is_same(candidates[-1], item):
                continue
            step = candidates.pop()
            found[position] = step
            del left[step.step_id]
    return found


def _may_return(step: Step, item: PlanItem) -> bool:
    """Whether an item with this name is the step; a completed one that left the list is over."""
    return step.source_id is not None or step.status in (StepStatus.SKIPPED, item.status)


def _may_be_renamed(step: Step, item: PlanItem, names: Collection[str]) -> bool:
    """Whether an item with the id of a step is the same under another name.

    A list that is written as a whole uses the ids again: what is finished there and then open
    under another name is something else.
    """
    is_finished = step.status in _FINAL_STATUSES
    is_removed = step.source_id is None
    return (
        not is_removed
        and step.name not in names
        and (not is_finished or step.status is item.status)
    )


def _removed(step: Step, now: datetime) -> Step:
    """A step that is not in the list any more."""
    if step.source_id is None:
        return step
    if step.status is StepStatus.COMPLETED:
        return replace(step, source_id=None)
    ended_at = step.completed_at if step.status is StepStatus.SKIPPED else now
    return replace(step, source_id=None, status=StepStatus.SKIPPED, completed_at=ended_at)


def _update(step: Step, item: PlanItem, now: datetime, *, is_new: bool) -> Step:
    started_at, completed_at = step.started_at, step.completed_at
    if item.status is StepStatus.IN_PROGRESS:
        started_at, completed_at = started_at or now, None
    elif item.status in _FINAL_STATUSES:
        # An item that is finished when it first appears has no known end.
        if not is_new and step.status is not item.status:
            completed_at = now
    else:
        completed_at = None
    return replace(
        step,
        source_id=item.source_id,
        name=item.name,
        active_name=item.active_name,
        status=item.status,
        started_at=started_at,
        completed_at=completed_at,
        error=None,
    )


def _bounded(steps: list[Step]) -> tuple[Step, ...]:
    """Forget the oldest of the removed steps if there are too many."""
    surplus = len(steps) - MAX_STEPS
    if surplus <= 0:
        return tuple(steps)
    removed = [step.step_id for step in steps if step.source_id is None][:surplus]
    return tuple(step for step in steps if step.step_id not in set(removed))
