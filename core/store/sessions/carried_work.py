"""Carried work: the newest bundles of a session, for whichever node goes on with it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.carried_work import BundleTooLarge, CarriedWork
from core.domain.runs.run import StaleAttempt
from core.store.tables.carried_work import CarriedWorkRow
from core.store.tables.runs import RunRow

MAX_BYTES = 25_000_000
# Machines' clocks differ: who stores later is newer, whatever its clock says.
_CLOCK_STEP = timedelta(microseconds=1)


async def save(session: AsyncSession, work: CarriedWork, *, max_bytes: int = MAX_BYTES) -> None:
    """Keep this as its session's newest work.

    Of a session the newest committed work and the newest saved work tree are kept, and what is
    older goes.

    Raises:
        TooLarge: If it is larger than `max_bytes`.
        StaleAttempt: If the run was given to another attempt meanwhile.
    """
    bundle = work.bundle
    if len(bundle.data) > max_bytes:
        raise BundleTooLarge(len(bundle.data), max_bytes)
    newest_at = await session.scalar(
        select(func.max(CarriedWorkRow.created_at)).where(
            CarriedWorkRow.session_id == work.session_id
        )
    )
    # Told again after an answer that was lost, it is kept once.
    await session.execute(
        insert(CarriedWorkRow)
        .values(
            id=work.id,
            session_id=work.session_id,
            run_id=work.run_id,
            attempt=work.attempt,
            branch=bundle.branch,
            base_commit=bundle.base_commit,
            commit=bundle.newest_commit,
            head_commit=bundle.head_commit,
            uncommitted=bundle.saved_commit is not None,
            references=dict(bundle.references),
            created_at=work.created_at
            if newest_at is None
            else max(work.created_at, newest_at + _CLOCK_STEP),
            bundle=bundle.data,
        )
        .on_conflict_do_nothing(index_elements=["id"])
    )
    await session.execute(
        delete(CarriedWorkRow).where(
            CarriedWorkRow.session_id == work.session_id,
            CarriedWorkRow.uncommitted == (bundle.saved_commit is not None),
            CarriedWorkRow.id != work.id,
        )
    )
    await _check_attempt(session, work.run_id, work.attempt)


async def delete_for_run(session: AsyncSession, run: UUID, *, attempt: int) -> None:
    """Forget all work of a run's session: its repository has everything.

    Raises:
        StaleAttempt: If the run was given to another attempt meanwhile.
    """
    of_run = select(RunRow.session_id).where(RunRow.id == run).scalar_subquery()
    await session.execute(delete(CarriedWorkRow).where(CarriedWorkRow.session_id == of_run))
    await _check_attempt(session, run, attempt)


async def _check_attempt(session: AsyncSession, run: UUID, attempt: int) -> None:
    # Locked last, so for a moment only: nobody takes the run over between this and the commit.
    found = await session.execute(
        select(RunRow.run_id, RunRow.attempt).where(RunRow.id == run).with_for_update(read=True)
    )
    run_id, current = found.one()
    if current != attempt:
        raise StaleAttempt(run_id, attempt)


async def latest(session: AsyncSession, session_id: UUID) -> CarriedWork | None:
    """The work that a session goes on from on a node that does not have its workspace."""
    row = await session.scalar(
        select(CarriedWorkRow)
        .where(CarriedWorkRow.session_id == session_id)
        .order_by(CarriedWorkRow.created_at.desc())
        .limit(1)
    )
    return None if row is None else row.to_carried_work()


async def latest_head(session: AsyncSession, session_id: UUID) -> tuple[str | None, str] | None:
    """Head commit and newest commit of the latest work, without reading the bundle."""
    found = await session.execute(
        select(CarriedWorkRow.head_commit, CarriedWorkRow.commit)
        .where(CarriedWorkRow.session_id == session_id)
        .order_by(CarriedWorkRow.created_at.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return None if row is None else (row[0], row[1])
