"""The line of pending runs: who waits, in which order, and who was handed to workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.admission import AdmissionRun
from core.domain.fleet.workers import QueueReason, WorkerState
from core.domain.runs.run import LIVE_STATUSES, Run, RunStatus
from core.store.database.advisory_locks import AdvisoryLock
from core.store.runs.columns import to_run
from core.store.runs.compare_and_set import NEXT_VERSION
from core.store.tables.fleet import WorkerRow
from core.store.tables.runs import RunRow

# A holder of the admission lock has milliseconds of work left; a busy machine may stretch them.
FROZEN_AFTER_MS = 5_000
_LOCK_ADMISSION = text("""
    SELECT pg_advisory_xact_lock(:key),
        set_config('idle_in_transaction_session_timeout', :silent, true)
""")

_PENDING = RunRow.status == RunStatus.PENDING
# Pending, and no job was made for it: it waits for admission.
_UNADMITTED = _PENDING & RunRow.job_id.is_(None)
# One whose job exists goes before those of the same priority that have none yet.
_ORDER = (
    RunRow.priority.desc(),
    (RunRow.attempt > 1).desc(),
    RunRow.job_id.is_not(None).desc(),
    RunRow.created_at,
    RunRow.run_id,
)


async def lock_admission(session: AsyncSession) -> None:
    """Be the only one that admits, until the transaction ends.

    The statements after this one see what the lock's last holder wrote.  A holder that falls
    silent (its machine froze) loses transaction and lock after `FROZEN_AFTER_MS`: the fleet's
    starts and ends wait for it no longer.
    """
    await session.execute(
        _LOCK_ADMISSION, {"key": AdvisoryLock.ADMISSION.value, "silent": str(FROZEN_AFTER_MS)}
    )


async def admission_runs(
    session: AsyncSession, *, repository_key: Callable[[str | None], str | None]
) -> list[AdmissionRun]:
    """Every live run.  `repository_key` gives repositories one name, however people spell it."""
    rows = await session.execute(
        select(
            RunRow.run_id,
            (~_UNADMITTED).label("is_admitted"),
            RunRow.priority,
            RunRow.attempt,
            RunRow.created_at,
            RunRow.user_id,
            RunRow.git_repo,
            RunRow.queue_reason,
        ).where(RunRow.status.in_(sorted(LIVE_STATUSES)))
    )
    return [
        AdmissionRun(
            run_id=row.run_id,
            is_admitted=row.is_admitted,
            priority=row.priority,
            attempt=row.attempt,
            created_at=row.created_at,
            user_id=row.user_id,
            repository=repository_key(row.git_repo),
            reason=QueueReason(row.queue_reason) if row.queue_reason else None,
        )
        for row in rows
    ]


async def lock_unadmitted(
    session: AsyncSession, run_ids: Collection[str] | None = None
) -> list[Run]:
    """Lock those of the runs (of all, if none are named) that wait for admission, in order.

    One that somebody else is changing just now is left out: who changes it asks for
    admission afterwards, and to wait for it here could be a deadlock.
    """
    named = [] if run_ids is None else [RunRow.run_id.in_(list(run_ids))]
    rows = await session.scalars(
        select(RunRow)
        .where(_UNADMITTED, *named)
        .order_by(*_ORDER)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return [to_run(row) for row in rows]


async def set_queue_reasons(session: AsyncSession, held: Mapping[str, QueueReason]) -> None:
    """Note which cap keeps a run.  No version grows: the line is told of by `announce`."""
    for reason in QueueReason:
        run_ids = [run_id for run_id, cap in held.items() if cap is reason]
        if run_ids:
            await session.execute(
                update(RunRow)
                .where(RunRow.id.in_(_unlocked_ids(RunRow.run_id.in_(run_ids), _UNADMITTED)))
                .values(queue_reason=reason)
                .execution_options(synchronize_session=False)
            )


async def positions(
    session: AsyncSession, *, limit: int | None = None, run_ids: Collection[str] | None = None
) -> dict[str, tuple[int, QueueReason | None]]:
    """The line: each run's place, 1 being next, and the cap that keeps it.

    By priority; those taken from a lost worker first, then those that workers may take
    already, then by age.  One that is being killed has left the line.

    Args:
        session: An open session.
        limit: Only so many, from the head.
        run_ids: Only these runs.
    """
    queue = _pending_queue().subquery()
    query = select(queue).order_by(queue.c.place)
    if limit is not None:
        query = query.limit(limit)
    if run_ids is not None:
        query = query.where(queue.c.run_id.in_(list(run_ids)))
    rows = await session.execute(query)
    return {
        row.run_id: (row.place, QueueReason(row.queue_reason) if row.queue_reason else None)
        for row in rows
    }


async def queue_position(session: AsyncSession, run_id: str) -> int | None:
    """A run's place in the line; `None` if it does not wait."""
    found = await positions(session, run_ids=[run_id])
    return found[run_id][0] if run_id in found else None


async def bump_versions(session: AsyncSession, run_ids: Collection[str]) -> None:
    """Raise the versions of pending runs: what is shown of their place has changed.

    Nothing of the runs themselves has: `updated_at` stays.
    """
    await session.execute(
        update(RunRow)
        .where(RunRow.id.in_(_unlocked_ids(RunRow.run_id.in_(list(run_ids)), _PENDING)))
        .values(version=NEXT_VERSION, is_drawn=False)
        .execution_options(synchronize_session=False)
    )


async def has_available_worker(session: AsyncSession, *, max_silence: timedelta) -> bool:
    """Whether some worker takes jobs and has not been silent for so long."""
    found = select(WorkerRow.worker_id).where(
        WorkerRow.state == WorkerState.UP, WorkerRow.heartbeat_at >= func.now() - max_silence
    )
    return bool(await session.scalar(select(found.exists())))


def _pending_queue() -> Select[str, str | None, int]:
    position = func.row_number().over(order_by=_ORDER).label("place")
    return select(RunRow.run_id, RunRow.queue_reason, position).where(
        _PENDING, RunRow.kill_requested_at.is_(None)
    )


def _unlocked_ids(*conditions: ColumnElement[bool]) -> Select[UUID]:
    """SQL: ids of the rows that nobody is changing; the others are left as they are."""
    return select(RunRow.id).where(*conditions).with_for_update(key_share=True, skip_locked=True)
