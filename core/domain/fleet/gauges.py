"""The fleet in numbers at one moment, for monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.fleet.workers import QueueReason, WorkerState
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, WaitingOn


@dataclass(frozen=True, kw_only=True)
class FleetGauges:
    """Counts of what is live or open; what has ended is in none of them.

    Attributes:
        live_runs: By status and workflow.
        waiting_runs: Running runs that wait, by what for.
        pending_runs: By the cap that holds them; `None` is for those that wait for a worker.
        oldest_pending: How long the oldest of these waits, since its request or its requeue;
            `None` if none waits.
        workers: By state; `gone` ones of the last week.
        slots: Of the workers that take jobs.
        agent_processes: Attempts in progress whose agent program has started.
        open_kills: Kills that are not confirmed, by phase.
        outdated_drawables: What is not shown as it should be, by kind.
        open_alerts: Alerts that have fired and are not resolved.
    """

    live_runs: Mapping[tuple[RunStatus, str], int] = field(default_factory=dict)
    waiting_runs: Mapping[WaitingOn, int] = field(default_factory=dict)
    pending_runs: Mapping[QueueReason | None, int] = field(default_factory=dict)
    oldest_pending: timedelta | None = None
    workers: Mapping[WorkerState, int] = field(default_factory=dict)
    slots: int = 0
    agent_processes: int = 0
    open_kills: Mapping[Phase, int] = field(default_factory=dict)
    outdated_drawables: Mapping[str, int] = field(default_factory=dict)
    open_alerts: Mapping[tuple[AlertKind, Severity], int] = field(default_factory=dict)
