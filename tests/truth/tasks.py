"""How an agent of a generated run keeps its task list: written, followed, rewritten."""

from __future__ import annotations

from tests.truth.effects import COMPLETED, DELETED, IN_PROGRESS, PENDING, AddTask, SetTask
from tests.truth.work import Site

_MAX_TASKS = 12


def change_tasks(site: Site) -> list[AddTask | SetTask]:
    """Write the list, or take it a step further; the changes are noted already."""
    rng, tasks = site.rng, site.state.tasks
    if not tasks:
        return [_add(site) for _ in range(rng.randint(2, 5))]
    changes: list[AddTask | SetTask] = []
    if rng.random() < 0.15:
        opened = [number for number, task in tasks.items() if task.status in (PENDING, IN_PROGRESS)]
        return [_set(site, number, COMPLETED) for number in opened]
    for number, task in list(tasks.items()):
        if task.status == IN_PROGRESS:
            changes.append(_set(site, number, COMPLETED))
    waiting = [number for number, task in tasks.items() if task.status == PENDING]
    if waiting and rng.random() < 0.2:
        changes.append(_set(site, rng.choice(waiting), DELETED))
    waiting = [number for number, task in tasks.items() if task.status == PENDING]
    if waiting:
        changes.append(_set(site, waiting[0], IN_PROGRESS))
    if len(tasks) < _MAX_TASKS and rng.random() < 0.3:
        changes.append(_add(site))
    return changes


def _add(site: Site) -> AddTask:
    effect = AddTask(len(site.state.tasks) + 1, f"Task {next(site.ids)}")
    effect.apply(site.state)
    return effect


def _set(site: Site, number: int, status: str) -> SetTask:
    effect = SetTask(number, status)
    effect.apply(site.state)
    return effect
