"""The fleet in numbers, read in two statements.

Both read only what is live or open, through partial indexes, so their cost does not grow with the
runs that have ended.  The workers' table keeps gone workers for a week.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Select,
    String,
    case,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.episode import OPEN_STATES
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.fleet.gauges import FleetGauges
from core.domain.fleet.workers import QueueReason, WorkerState
from core.domain.kills.termination import Phase
from core.domain.runs.run import LIVE_STATUSES, RunStatus, WaitingOn
from core.store.tables.alerts.episodes import AlertRow
from core.store.tables.attempts import AttemptRow
from core.store.tables.drawables import DrawableRow
from core.store.tables.fleet import WorkerRow
from core.store.tables.runs import RunRow
from core.store.tables.terminations import IS_OPEN, TerminationRow

_WORKERS, _AGENTS, _KILLS, _DRAWABLES = "workers", "agents", "kills", "drawables"
_ALERTS = "alerts"


def live_runs_query() -> Select[*tuple[Any, ...]]:
    """SQL: the live runs in groups, and since when the oldest pending one of each group waits."""
    # A requeued run waits since its last change, which was the requeue; one that is tried again
    # only from the time on when it may be.
    waits_since = case(
        (RunRow.retry_at.is_not(None), RunRow.retry_at),
        (RunRow.attempt > 1, RunRow.updated_at),
        else_=RunRow.created_at,
    )
    is_queued = (RunRow.status == RunStatus.PENDING) & (
        RunRow.retry_at.is_(None) | (RunRow.retry_at <= func.now())
    )
    return (
        select(
            RunRow.status,
            RunRow.workflow_name,
            RunRow.waiting_on,
            RunRow.queue_reason,
            func.count().label("runs"),
            func.count().filter(is_queued).label("queued"),
            func.min(waits_since).filter(is_queued).label("oldest"),
        )
        # In the words of the partial index `idx_workflow_runs_live`.
        .where(RunRow.status.in_(sorted(LIVE_STATUSES)))
        .group_by(RunRow.status, RunRow.workflow_name, RunRow.waiting_on, RunRow.queue_reason)
    )


def open_rows_query() -> CompoundSelect[*tuple[Any, ...]]:
    """SQL: counts of workers, agent processes, open kills, outdated drawables and open alerts."""
    agents = (AttemptRow.ended_at.is_(None), AttemptRow.agent_pid.is_not(None))
    # In the words of the partial index `uq_alerts_open`.
    told = (AlertRow.state.in_(sorted(OPEN_STATES)), AlertRow.fired_at.is_not(None))
    outdated = (DrawableRow.is_open, DrawableRow.drawn_version < DrawableRow.desired_version)
    return union_all(
        select(
            literal(_WORKERS).label("subject"),
            WorkerRow.state.label("name"),
            func.count().label("amount"),
            func.sum(WorkerRow.slots).label("slots"),
        ).group_by(WorkerRow.state),
        select(literal(_AGENTS), null().cast(String), func.count(), literal(0))
        .select_from(AttemptRow)
        .where(*agents),
        select(literal(_KILLS), TerminationRow.phase, func.count(), literal(0))
        .where(IS_OPEN)
        .group_by(TerminationRow.phase),
        select(literal(_DRAWABLES), DrawableRow.kind, func.count(), literal(0))
        .where(*outdated)
        .group_by(DrawableRow.kind),
        select(
            literal(_ALERTS),
            func.concat(AlertRow.kind, "/", AlertRow.severity),
            func.count(),
            literal(0),
        )
        .where(*told)
        .group_by(AlertRow.kind, AlertRow.severity),
    )


async def read(session: AsyncSession, *, now: datetime) -> FleetGauges:
    """Read the numbers; both statements see the same moment only in a snapshot transaction."""
    live: Counter[tuple[RunStatus, str]] = Counter()
    waiting: Counter[WaitingOn] = Counter()
    pending: Counter[QueueReason | None] = Counter()
    oldest: datetime | None = None
    for row in await session.execute(live_runs_query()):
        status = RunStatus(row.status)
        live[status, row.workflow_name] += row.runs
        if row.waiting_on is not None:
            waiting[WaitingOn(row.waiting_on)] += row.runs
        if status is RunStatus.PENDING:
            reason = None if row.queue_reason is None else QueueReason(row.queue_reason)
            pending[reason] += row.queued
            found = [one for one in (oldest, row.oldest) if one is not None]
            oldest = min(found, default=None)
    counts: dict[str, dict[str | None, int]] = {}
    slots = 0
    for row in await session.execute(open_rows_query()):
        counts.setdefault(row.subject, {})[row.name] = row.amount
        if row.subject == _WORKERS and row.name == WorkerState.UP:
            slots = row.slots
    return FleetGauges(
        live_runs=live,
        waiting_runs=waiting,
        pending_runs=pending,
        oldest_pending=None if oldest is None else now - oldest,
        workers={
            WorkerState(name): amount for name, amount in counts.get(_WORKERS, {}).items() if name
        },
        slots=slots,
        agent_processes=sum(counts.get(_AGENTS, {}).values()),
        open_kills={Phase(name): amount for name, amount in counts.get(_KILLS, {}).items() if name},
        outdated_drawables={
            name: amount for name, amount in counts.get(_DRAWABLES, {}).items() if name
        },
        open_alerts={
            _alert_of(name): amount for name, amount in counts.get(_ALERTS, {}).items() if name
        },
    )


def _alert_of(name: str) -> tuple[AlertKind, Severity]:
    kind, _, severity = name.partition("/")
    return AlertKind(kind), Severity(int(severity))
