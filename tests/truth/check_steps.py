"""Compares the steps of a run with the task list that the script told the agent to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.truth.effects import COMPLETED, DELETED, IN_PROGRESS, PENDING, Task
from tests.truth.plan import End
from tests.truth.seen import SeenLeg
from tests.truth.surfaces import card_text, details_text

_STATUSES = {PENDING: "pending", COMPLETED: "completed", DELETED: "skipped"}


def has_steps(seen: SeenLeg) -> bool:
    """Whether a run shows steps."""
    return bool(seen.snapshot.steps)


def _row_steps(seen: SeenLeg) -> Iterator[str]:
    tasks = seen.figures.tasks
    if not tasks:
        if seen.figures.own_calls and not has_steps(seen):
            yield f"the row has no steps for {seen.figures.own_calls} calls of the agent"
        return
    shown = [(one.step_id, one.name, one.status.value) for one in seen.snapshot.steps]
    true = [(number, task.name, _status_of(task, seen.leg.end)) for number, task in tasks.items()]
    if shown != true:
        yield f"the row has steps {shown}, not {true}"


def _stable_ids(seen: SeenLeg) -> Iterator[str]:
    """A step that was seen while the run was live has the same id at its end."""
    ids = {one.name: one.step_id for one in seen.snapshot.steps}
    for step in seen.live.steps if seen.live is not None else ():
        if (
            seen.figures.tasks
            and step.name.startswith("Task ")
            and ids.get(step.name) != step.step_id
        ):
            yield f"step {step.step_id} ({step.name}) has the id {ids.get(step.name)} at the end"


def _shown_steps(seen: SeenLeg) -> Iterator[str]:
    tasks = seen.figures.tasks.values()
    words = f"{sum(task.status == COMPLETED for task in tasks)} of {len(tasks)} done"
    surfaces = {
        "card": card_text(seen.snapshot, now=seen.now),
        "details": details_text(seen.snapshot, now=seen.now),
    }
    for name, text in surfaces.items():
        if tasks and words not in text:
            yield f"the {name} does not have {words!r}: {text!r}"


def _status_of(task: Task, end: End) -> str:
    """The status of a task when its run has ended."""
    if task.status == IN_PROGRESS:
        return "failed" if end is End.API_ERROR else "pending"
    return _STATUSES[task.status]


STEP_CHECKS: tuple[Callable[[SeenLeg], Iterator[str]], ...] = (
    _row_steps,
    _stable_ids,
    _shown_steps,
)
