"""Words about workers: their states, used slots and waiting runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words import counts, times
from bot.words.markup import Markup
from core.domain.fleet.workers import FleetSnapshot, WorkerRecord, WorkerState

STATE_WORDS: Mapping[WorkerState, tuple[str, str]] = MappingProxyType(
    {
        WorkerState.UP: ("🟢", "takes runs"),
        WorkerState.DRAINING: ("🟡", "stopping; its runs end or are handed over"),
        WorkerState.GONE: ("⚪", "gone"),
    }
)


def fleet_lead(view: FleetSnapshot, markup: Markup) -> str:
    """How many slots are in use and how many runs wait, or that there is no worker."""
    waiting = (
        f"{counts.plural(view.pending_runs, 'run waits', 'runs wait')}."
        if view.pending_runs
        else ""
    )
    if not any(one.state is not WorkerState.GONE for one in view.workers):
        return (
            "There is no worker, so nothing runs: runs wait until one is started "
            f"({markup.code('signalbox up')} or {markup.code('signalbox worker')} on a machine "
            f"that can reach the database). {waiting}"
        ).strip()
    in_use = f"{view.live_runs} of {counts.plural(view.slots, 'slot')} in use"
    return f"{markup.strong(in_use)} {waiting}".strip()


def worker_facts(
    worker: WorkerRecord, view: FleetSnapshot, markup: Markup
) -> tuple[str, list[str]]:
    """The icon of a worker, and the facts to show about it."""
    icon, state = STATE_WORDS[worker.state]
    if worker.is_silent(view.at):
        icon, state = "🔴", "silent: after a minute its runs continue elsewhere"
    facts = [state]
    if worker.state is not WorkerState.GONE:
        facts.append(f"{worker.live_runs} of {counts.plural(worker.slots, 'slot')} in use")
    if worker.isolation is not None:
        facts.append("isolated" if worker.isolation.is_active else "agents not isolated")
    facts.append(f"last heartbeat {times.elapsed(worker.heartbeat_at, view.at)} ago")
    if worker.program_version:
        facts.append(f"version {markup.inline(worker.program_version, 40)}")
    return icon, facts
