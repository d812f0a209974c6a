"""What the detectors of alerts look at.

Every statement reads only what is live or open, through partial indexes, so that none becomes
slower with the runs that have ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.drawables import SlackHealth
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.run import LIVE_STATUSES, Run, RunStatus
from core.store.runs.columns import to_run
from core.store.tables.fleet import WorkerRow
from core.store.tables.runs import RunRow
from core.store.tables.slack import SlackHealthRow
from core.store.tables.terminations import IS_OPEN, TerminationRow


@dataclass(frozen=True, kw_only=True)
class OpenKill:
    """A kill whose proof failed, and its run."""

    termination: Termination
    run: Run


def unevaluated_query(limit: int) -> Select[RunRow]:
    """SQL: the runs that have ended and were not evaluated, oldest first.

    A completed run whose work is still measured comes later: what it changed decides what it is
    told as.
    """
    is_ended = RunRow.status.not_in(sorted(LIVE_STATUSES))
    is_measured = or_(RunRow.work_due_at.is_(None), RunRow.status != RunStatus.COMPLETED)
    return (
        select(RunRow)
        .where(~RunRow.is_end_evaluated, is_ended, is_measured)
        .order_by(RunRow.created_at)
        .limit(limit)
    )


async def claim_ended(session: AsyncSession, *, limit: int = 200) -> list[Run]:
    """The next runs that have ended, each given to one transaction that commits."""
    rows = (await session.scalars(unevaluated_query(limit).with_for_update(skip_locked=True))).all()
    if rows:
        await session.execute(
            update(RunRow)
            .where(RunRow.id.in_([row.id for row in rows]))
            .values(is_end_evaluated=True)
            .execution_options(synchronize_session=False)
        )
    runs = [to_run(row) for row in rows]
    return sorted(runs, key=lambda run: (run.completed_at or run.updated_at, run.run_id))


async def live_runs(session: AsyncSession) -> list[Run]:
    """All runs that have not ended, the oldest first."""
    rows = await session.scalars(
        select(RunRow)
        .where(RunRow.status.in_(sorted(LIVE_STATUSES)))
        .order_by(RunRow.created_at, RunRow.run_id)
    )
    return [to_run(row) for row in rows]


async def workers(session: AsyncSession, *, since: datetime) -> list[WorkerRecord]:
    """The newest worker of each node that was heard of since a time, with its live runs."""
    live = (
        select(func.count())
        .where(RunRow.status == RunStatus.RUNNING, RunRow.worker_id == WorkerRow.worker_id)
        .scalar_subquery()
    )
    rows = await session.execute(
        select(WorkerRow, live)
        .ext(distinct_on(WorkerRow.node))
        .where(WorkerRow.heartbeat_at >= since)
        .order_by(WorkerRow.node, WorkerRow.started_at.desc(), WorkerRow.worker_id)
    )
    return [row.to_worker(live_runs=count) for row, count in rows]


def is_lost(worker: WorkerRecord) -> bool:
    """Whether a worker that is gone stopped without saying so.

    A worker that stops in order writes the time of its last heartbeat as that of its end; one that
    was declared lost was marked later.
    """
    return (
        worker.state is WorkerState.GONE
        and worker.stopped_at is not None
        and worker.stopped_at - worker.heartbeat_at > timedelta(seconds=1)
    )


async def unconfirmed_kills(session: AsyncSession) -> list[OpenKill]:
    """The kills whose proof failed and that nobody has confirmed since."""
    rows = await session.execute(
        select(TerminationRow, RunRow)
        .join(RunRow, RunRow.id == TerminationRow.run_id)
        .where(IS_OPEN, TerminationRow.phase == Phase.UNCONFIRMED)
        .order_by(TerminationRow.requested_at)
    )
    return [OpenKill(termination=kill.to_termination(), run=to_run(run)) for kill, run in rows]


async def slack_health(session: AsyncSession) -> list[SlackHealth]:
    """How far what is shown in each workspace is behind."""
    rows = await session.scalars(select(SlackHealthRow).order_by(SlackHealthRow.team_id))
    return [row.to_health() for row in rows]


def newest_ended_query(workflow: str, limit: int) -> Select[*tuple[Any, ...]]:
    """SQL: how the newest evaluated runs of a workflow ended, by an index.

    The totals of days contain just these, so that a window can be subtracted from them.
    """
    return (
        select(RunRow.status, RunRow.stop_reason, RunRow.completed_at, RunRow.cost_estimate)
        .where(RunRow.workflow_name == workflow, RunRow.is_end_evaluated)
        .order_by(RunRow.created_at.desc())
        .limit(limit)
    )
