"""`workers`: who executes runs, in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.slack import figures, text
from bot.slack.views import blocks
from bot.slack.views.message import Message
from core.domain.fleet.workers import FleetSnapshot, WorkerRecord, WorkerState

# Characters that the lines may have together.
_LINES_LIMIT = 6500
STATE_WORDS: Mapping[WorkerState, tuple[str, str]] = MappingProxyType(
    {
        WorkerState.UP: ("🟢", "takes runs"),
        WorkerState.DRAINING: ("🟡", "stops; ends or hands over what it has"),
        WorkerState.GONE: ("⚪", "gone"),
    }
)
NO_WORKERS = (
    "No worker is there, so nothing runs: runs wait until one is started (`signalbox up` or "
    "`signalbox worker` on a machine that reaches the database)."
)


def fleet_message(view: FleetSnapshot) -> Message:
    """Draw the fleet."""
    waiting = (
        f"{figures.plural(view.pending_runs, 'run waits', 'runs wait')}."
        if view.pending_runs
        else ""
    )
    if not any(one.state is not WorkerState.GONE for one in view.workers):
        lead = f"{NO_WORKERS} {waiting}".strip()
    else:
        lead = (
            f"*{view.live_runs} of {figures.plural(view.slots, 'slot')} in use* {waiting}".strip()
        )
    lines = [_line(one, view) for one in view.workers]
    return Message(
        text=lead.replace("*", ""),
        blocks=tuple(blocks.paragraphs([lead, *blocks.fit_lines(lines, _LINES_LIMIT)])),
    )


def _line(worker: WorkerRecord, view: FleetSnapshot) -> str:
    icon, state = STATE_WORDS[worker.state]
    if worker.is_silent(view.at):
        icon, state = "🔴", "silent: its runs go on elsewhere if it stays so for a minute"
    facts = [state]
    if worker.state is not WorkerState.GONE:
        facts.append(f"{worker.live_runs} of {figures.plural(worker.slots, 'slot')} in use")
    facts.append(f"heard of {figures.elapsed(worker.heartbeat_at, view.at)} ago")
    if worker.program_version:
        facts.append(f"version {text.one_line(worker.program_version, 40)}")
    return (
        f"{icon} {text.code(worker.node, 60)} on {text.one_line(worker.machine, 60)}\n"
        f"{' · '.join(facts)}"
    )
