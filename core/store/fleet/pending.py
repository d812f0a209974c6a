"""The queue of pending runs: their order, and which of them were admitted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.admission import AdmissionRun
from core.domain.fleet.workers import QueueReason, WorkerState
from core.domain.runs.run import LIVE_STATUSES, Run, RunStatus
from core.store.database.advisory_locks import AdvisoryLock
from core.store.runs.columns import to_run
from core.store.runs.compare_and_set import NEXT_VERSION, time_literal
from core.store.tables.fleet import WorkerRow
from core.store.tables.runs import RunRow

# Admission takes milliseconds.  A holder of its lock that is idle for longer than this is frozen,
# not just slow.
FROZEN_AFTER_MS = 5_000
_LOCK_ADMISSION = text("""
    SELECT pg_advisory_xact_lock(:key),
        set_config('idle_in_transaction_session_timeout', :silent, true)
""")

_PENDING = RunRow.status == RunStatus.PENDING
_NEVER_WAITED = RunRow.retry_at.is_(None)
# Pending without a job: the run waits for admission.
_UNADMITTED = _PENDING & RunRow.job_id.is_(None)
# Within a priority: requeued runs, then runs with a job, then runs without one.
_ORDER = (
    RunRow.priority.desc(),
    (RunRow.attempt > 1).desc(),
    RunRow.job_id.is_not(None).desc(),
    RunRow.created_at,
    RunRow.run_id,
)


async def lock_admission(session: AsyncSession) -> None:
    """Take the admission lock until the transaction ends.

    Later statements of the transaction see everything that the previous holder wrote.  If the
    holder freezes, Postgres ends its transaction after `FROZEN_AFTER_MS` and so releases the
    lock, for which all starts and ends of runs in the fleet wait.
    """
    await session.execute(
        _LOCK_ADMISSION, {"key": AdvisoryLock.ADMISSION.value, "silent": str(FROZEN_AFTER_MS)}
    )


def _is_due(now: datetime) -> ColumnElement[bool]:
    """SQL: the run does not wait for the time of its next attempt."""
    return _NEVER_WAITED | (RunRow.retry_at <= time_literal(now))


async def admission_runs(
    session: AsyncSession,
    *,
    repository_key: Callable[[str | None], str | None],
    due_at: datetime | None = None,
) -> list[AdmissionRun]:
    """List every live run.

    Args:
        session: An open session.
        repository_key: Normalises the address of a repository.
        due_at: Leave out the runs that still wait at this time for their next attempt.
    """
    is_due = [] if due_at is None else [_is_due(due_at)]
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
            ((RunRow.attempt > 1) & _NEVER_WAITED).label("has_claim"),
        ).where(RunRow.status.in_(sorted(LIVE_STATUSES)), *is_due)
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
            has_claim=row.has_claim,
        )
        for row in rows
    ]


async def lock_unadmitted(
    session: AsyncSession, run_ids: Collection[str] | None = None, *, now: datetime
) -> list[Run]:
    """Lock the runs that wait for admission and are due, in order; `None` means all of them.

    A run that another transaction is changing is left out.  Waiting for it could deadlock, and
    the other transaction will ask for admission itself.
    """
    filters = [] if run_ids is None else [RunRow.run_id.in_(list(run_ids))]
    rows = await session.scalars(
        select(RunRow)
        .where(_UNADMITTED, _is_due(now), *filters)
        .order_by(*_ORDER)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return [to_run(row) for row in rows]


async def job_ids(session: AsyncSession) -> dict[int, str]:
    """Return the jobs of all pending runs, with the ids of the runs."""
    rows = await session.execute(
        select(RunRow.job_id, RunRow.run_id).where(_PENDING, RunRow.job_id.is_not(None))
    )
    return {row.job_id: row.run_id for row in rows}


async def set_queue_reasons(session: AsyncSession, held: Mapping[str, QueueReason]) -> None:
    """Store the cap that holds each run.

    The runs' versions do not change here; `bump_versions` makes the new reason visible.  Runs that
    another transaction is changing, or that were admitted meanwhile, are skipped.
    """
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
    """Return the queue: for each run its position (1 is next) and the cap that holds it.

    The order is by priority; then come requeued runs, runs that were admitted already, and the
    others by age.  A run that is being killed is no longer in the queue, and one that waits for the
    time of its next attempt is not yet in it.

    Args:
        session: An open session.
        limit: How many runs to return from the head of the queue; `None` is all.
        run_ids: The only runs to return; `None` is all.
    """
    queue = _pending_queue().subquery()
    query = select(queue).order_by(queue.c.position)
    if limit is not None:
        query = query.limit(limit)
    if run_ids is not None:
        query = query.where(queue.c.run_id.in_(list(run_ids)))
    rows = await session.execute(query)
    return {
        row.run_id: (row.position, QueueReason(row.queue_reason) if row.queue_reason else None)
        for row in rows
    }


async def queue_position(session: AsyncSession, run_id: str) -> int | None:
    """Return a run's position in the queue; `None` if it is not in it."""
    found = await positions(session, run_ids=[run_id])
    return found[run_id][0] if run_id in found else None


async def bump_versions(session: AsyncSession, run_ids: Collection[str]) -> None:
    """Raise the versions of pending runs whose position or hold has changed.

    So they are drawn again.  `updated_at` stays, because the runs themselves have not changed.
    Runs that another transaction is changing are skipped.
    """
    await session.execute(
        update(RunRow)
        .where(RunRow.id.in_(_unlocked_ids(RunRow.run_id.in_(list(run_ids)), _PENDING)))
        .values(version=NEXT_VERSION)
        .execution_options(synchronize_session=False)
    )


async def has_available_worker(session: AsyncSession, *, max_silence: timedelta) -> bool:
    """Return whether some worker takes jobs, with a heartbeat not older than `max_silence`."""
    available = select(WorkerRow.worker_id).where(
        WorkerRow.state == WorkerState.UP, WorkerRow.heartbeat_at >= func.now() - max_silence
    )
    return bool(await session.scalar(select(available.exists())))


def _pending_queue() -> Select[str, str | None, int]:
    position = func.row_number().over(order_by=_ORDER).label("position")
    return select(RunRow.run_id, RunRow.queue_reason, position).where(
        _PENDING,
        RunRow.kill_requested_at.is_(None),
        _NEVER_WAITED | (RunRow.retry_at <= func.now()),
    )


def _unlocked_ids(*conditions: ColumnElement[bool]) -> Select[UUID]:
    """SQL: the ids of the rows that no other transaction is changing, which are locked."""
    return select(RunRow.id).where(*conditions).with_for_update(key_share=True, skip_locked=True)
