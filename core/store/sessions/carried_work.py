"""Carried work: the newest bundles of each session, from which any node can continue it."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.errors import StaleAttempt
from core.domain.runs.work.carried_work import BundleTooLarge, CarriedWork, DamagedBundle
from core.store.tables.runs import RunRow
from core.store.tables.work.carried_work import CarriedWorkRow

MAX_BYTES = 25_000_000
# Clocks differ between machines: the work that is stored later counts as newer.
_CLOCK_STEP = timedelta(microseconds=1)


async def save(session: AsyncSession, work: CarriedWork, *, max_bytes: int = MAX_BYTES) -> None:
    """Store the newest work of a session, and delete what it replaces.

    A session keeps its newest bundle of commits and its newest one with a saved work tree.
    Storing the same work again, after an answer that was lost, has no further effect.

    Raises:
        BundleTooLarge: If the bundle is larger than `max_bytes`.
        StaleAttempt: If the run has a newer attempt.
    """
    bundle = work.bundle
    if len(bundle.data) > max_bytes:
        raise BundleTooLarge(len(bundle.data), max_bytes)
    newest_at = await session.scalar(
        select(func.max(CarriedWorkRow.created_at)).where(
            CarriedWorkRow.session_id == work.session_id
        )
    )
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
            bundle_sha256=hashlib.sha256(bundle.data).hexdigest(),
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
    """Delete all work of a run's session, because its repository has everything.

    Raises:
        StaleAttempt: If the run has a newer attempt.
    """
    session_id = select(RunRow.session_id).where(RunRow.id == run).scalar_subquery()
    await session.execute(delete(CarriedWorkRow).where(CarriedWorkRow.session_id == session_id))
    await _check_attempt(session, run, attempt)


async def _check_attempt(session: AsyncSession, run: UUID, attempt: int) -> None:
    # The lock keeps the run from being taken over before the commit.  It is taken last, so that
    # it is held only briefly.
    found = await session.execute(
        select(RunRow.run_id, RunRow.attempt).where(RunRow.id == run).with_for_update(read=True)
    )
    run_id, current = found.one()
    if current != attempt:
        raise StaleAttempt(run_id, attempt)


async def latest(session: AsyncSession, session_id: UUID) -> CarriedWork | None:
    """Return the newest work, from which a node without the workspace continues the session."""
    row = await session.scalar(
        select(CarriedWorkRow)
        .where(CarriedWorkRow.session_id == session_id)
        .order_by(CarriedWorkRow.created_at.desc())
        .limit(1)
    )
    return None if row is None else row.to_carried_work()


async def latest_verified(session: AsyncSession, session_id: UUID) -> CarriedWork | None:
    """Return the newest work, with its bundle checked against the digest stored with it.

    Raises:
        DamagedBundle: If it is not what was stored, or was stored without a digest.
    """
    row = await session.scalar(
        select(CarriedWorkRow)
        .where(CarriedWorkRow.session_id == session_id)
        .order_by(CarriedWorkRow.created_at.desc())
        .limit(1)
    )
    if row is None:
        return None
    if hashlib.sha256(row.bundle).hexdigest() != row.bundle_sha256:
        raise DamagedBundle(session_id)
    return row.to_carried_work()


async def latest_head(session: AsyncSession, session_id: UUID) -> tuple[str | None, str] | None:
    """Return head commit and newest commit of the newest work, without reading its bundle."""
    found = await session.execute(
        select(CarriedWorkRow.head_commit, CarriedWorkRow.commit)
        .where(CarriedWorkRow.session_id == session_id)
        .order_by(CarriedWorkRow.created_at.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return None if row is None else (row[0], row[1])
