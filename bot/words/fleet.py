"""Words about workers: their states, what is at work, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words import counts, times
from bot.words.markup import Markup
from core.domain.fleet.workers import FleetSnapshot, WorkerRecord, WorkerState

STATE_WORDS: Mapping[WorkerState, tuple[str, str]] = MappingProxyType(
    {
        WorkerState.UP: ("🟢", "takes runs"),
        WorkerState.DRAINING: ("🟡", "stops; ends or hands over what it has"),
        WorkerState.GONE: ("⚪", "gone"),
    }
)


def fleet_lead(view: FleetSnapshot, markup: Markup) -> str:
    """How many slots are in use and how many runs wait, or that no worker is there."""
    waiting = (
        f"{counts.plural(view.pending_runs, 'run waits', 'runs wait')}."
        if view.pending_runs
        else ""
    )
    if not any(one.state is not WorkerState.GONE for one in view.workers):
        return (
            "No worker is there, so nothing runs: runs wait until one is started "
            f"({markup.code('signalbox up')} or {markup.code('signalbox worker')} on a machine "
            f"that reaches the database). {waiting}"
        ).strip()
    in_use = f"{view.live_runs} of {counts.plural(view.slots, 'slot')} in use"
    return f"{markup.strong(in_use)} {waiting}".strip()


def worker_facts(
    worker: WorkerRecord, view: FleetSnapshot, markup: Markup
) -> tuple[str, list[str]]:
    """A worker's icon, and what is to be said of it."""
    icon, state = STATE_WORDS[worker.state]
    if worker.is_silent(view.at):
        icon, state = "🔴", "silent: its runs go on elsewhere if it stays so for a minute"
    facts = [state]
    if worker.state is not WorkerState.GONE:
        facts.append(f"{worker.live_runs} of {counts.plural(worker.slots, 'slot')} in use")
    facts.append(f"heard of {times.elapsed(worker.heartbeat_at, view.at)} ago")
    if worker.program_version:
        facts.append(f"version {markup.inline(worker.program_version, 40)}")
    return icon, facts
