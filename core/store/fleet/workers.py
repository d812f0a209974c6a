"""The workers of the fleet: their states and last heartbeats."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.run import RunStatus
from core.store.tables.fleet import WorkerRow
from core.store.tables.runs import RunRow


async def record_heartbeat(session: AsyncSession, worker: WorkerRecord) -> None:
    """Store a worker's heartbeat and state; the first one registers it.

    A worker that was marked as gone but lives is registered again.
    """
    values = {
        "worker_id": worker.worker_id,
        "node": worker.node,
        "host": worker.host,
        "slots": worker.slots,
        "state": worker.state,
        "program_version": worker.program_version,
        "started_at": worker.started_at,
        "heartbeat_at": worker.heartbeat_at,
        "stopped_at": worker.stopped_at,
        "is_isolated": worker.isolation.is_active if worker.isolation else None,
        "isolation_detail": worker.isolation.detail if worker.isolation else None,
    }
    changing = ("state", "heartbeat_at", "stopped_at")
    await session.execute(
        insert(WorkerRow)
        .values(**values)
        .on_conflict_do_update(
            index_elements=[WorkerRow.worker_id], set_={name: values[name] for name in changing}
        )
    )


async def mark_gone(session: AsyncSession, *, before: datetime, now: datetime) -> list[str]:
    """Mark workers without a heartbeat since `before` as gone.

    Returns:
        The ids of the workers marked now.
    """
    marked = await session.scalars(
        update(WorkerRow)
        .where(WorkerRow.state != WorkerState.GONE, WorkerRow.heartbeat_at < before)
        .values(state=WorkerState.GONE, stopped_at=now)
        .returning(WorkerRow.worker_id)
        .execution_options(synchronize_session=False)
    )
    return list(marked)


async def mark_predecessors_gone(session: AsyncSession, worker: WorkerRecord) -> None:
    """Mark the earlier workers of a worker's node as gone, since a node has one at a time."""
    await session.execute(
        update(WorkerRow)
        .where(
            WorkerRow.node == worker.node,
            WorkerRow.worker_id != worker.worker_id,
            WorkerRow.state != WorkerState.GONE,
        )
        .values(state=WorkerState.GONE, stopped_at=worker.started_at)
        .execution_options(synchronize_session=False)
    )


async def exists(session: AsyncSession, worker_id: str) -> bool:
    """Return whether there is a worker with this id, or was one not long ago."""
    found = await session.scalar(
        select(WorkerRow.worker_id).where(WorkerRow.worker_id == worker_id)
    )
    return found is not None


async def list_recent(session: AsyncSession, *, gone_since: datetime) -> list[WorkerRecord]:
    """List the present workers, and those gone since `gone_since`; by node, newest first."""
    is_present = WorkerRow.state != WorkerState.GONE
    return await _list(
        session,
        is_present | (func.coalesce(WorkerRow.stopped_at, WorkerRow.heartbeat_at) >= gone_since),
    )


async def of_node(session: AsyncSession, node: str) -> list[WorkerRecord]:
    """List the workers of a node that are not marked as gone."""
    return await _list(session, WorkerRow.node == node, WorkerRow.state != WorkerState.GONE)


async def accepting_jobs(
    session: AsyncSession, *, since: datetime, node: str | None = None
) -> list[WorkerRecord]:
    """List the workers that take jobs and had a heartbeat since `since`, optionally of a node."""
    node_filter = [] if node is None else [WorkerRow.node == node]
    return await _list(
        session, WorkerRow.state == WorkerState.UP, WorkerRow.heartbeat_at >= since, *node_filter
    )


async def count_pending_runs(session: AsyncSession) -> int:
    """Count the pending runs, admitted or not."""
    count: int | None = await session.scalar(
        select(func.count()).select_from(RunRow).where(RunRow.status == RunStatus.PENDING)
    )
    return count or 0


async def delete_gone(session: AsyncSession, *, before: datetime) -> int:
    """Delete workers that are gone and had their last heartbeat before `before`.

    Returns:
        The number of deleted rows.
    """
    deleted = await session.scalars(
        delete(WorkerRow)
        .where(WorkerRow.state == WorkerState.GONE, WorkerRow.heartbeat_at < before)
        .returning(WorkerRow.worker_id)
        .execution_options(synchronize_session=False)
    )
    return len(deleted.all())


async def _list(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[WorkerRecord]:
    live = (
        select(func.count())
        .where(
            and_(RunRow.status == RunStatus.RUNNING, RunRow.worker_id == WorkerRow.worker_id),
        )
        .scalar_subquery()
    )
    rows = await session.execute(
        select(WorkerRow, live)
        .where(*conditions)
        .order_by(WorkerRow.node, WorkerRow.started_at.desc(), WorkerRow.worker_id)
    )
    return [row.to_worker(live_runs=count) for row, count in rows]
