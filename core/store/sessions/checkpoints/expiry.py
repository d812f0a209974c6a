"""Which checkpoints may be deleted, and deleting them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.run import LIVE_STATUSES
from core.store.tables.runs import RunRow
from core.store.tables.work.checkpoints import CheckpointRow


async def of_workspace(session: AsyncSession, workspace_id: str) -> list[Checkpoint]:
    """List the checkpoints that runs of any session took in a workspace."""
    rows = await session.scalars(
        select(CheckpointRow)
        .join(RunRow, RunRow.id == CheckpointRow.run_id)
        .where(RunRow.workspace_id == workspace_id)
    )
    return [row.to_checkpoint() for row in rows]


async def restarted_from(session: AsyncSession, session_id: UUID) -> frozenset[UUID]:
    """The checkpoints of a session from which runs were restarted."""
    rows = await session.scalars(
        select(CheckpointRow.id).where(
            CheckpointRow.session_id == session_id,
            exists().where(RunRow.restarted_from_checkpoint_id == CheckpointRow.id),
        )
    )
    return frozenset(rows)


async def forked_on(session: AsyncSession, session_id: UUID) -> frozenset[UUID]:
    """The checkpoints of a session on whose objects those of other sessions stand."""
    other = select(CheckpointRow).where(CheckpointRow.session_id != session_id).subquery()
    rows = await session.scalars(
        select(CheckpointRow.id).where(
            CheckpointRow.session_id == session_id,
            exists().where(other.c.previous_id == CheckpointRow.id),
        )
    )
    return frozenset(rows)


async def delete_all(session: AsyncSession, checkpoints: Sequence[Checkpoint]) -> frozenset[UUID]:
    """Delete checkpoints with their bundles, the newest first; return the ids of those deleted."""
    newest_first = sorted(checkpoints, key=lambda one: one.number, reverse=True)
    deleted: set[UUID] = set()
    for one in newest_first:
        # Each on its own: a newer one may stand on it.
        found = await session.scalar(
            delete(CheckpointRow).where(CheckpointRow.id == one.id).returning(CheckpointRow.id)
        )
        deleted |= set() if found is None else {found}
    return frozenset(deleted)


async def sessions_with_old(
    session: AsyncSession, *, before: datetime, limit: int, after: UUID | None = None
) -> Collection[UUID]:
    """Sessions without a live run that have several checkpoints, one of them old.

    Args:
        session: An open database session.
        before: What is old was taken before that.
        limit: The most sessions.
        after: Only sessions with an id above this one, in whose order they are returned.
    """
    is_live = exists().where(
        RunRow.session_id == CheckpointRow.session_id, RunRow.status.in_(LIVE_STATUSES)
    )
    rows = await session.scalars(
        select(CheckpointRow.session_id)
        .where(~is_live, *([] if after is None else [CheckpointRow.session_id > after]))
        .group_by(CheckpointRow.session_id)
        .having(func.count() > 1, func.min(CheckpointRow.taken_at) < before)
        .order_by(CheckpointRow.session_id)
        .limit(limit)
    )
    return list(rows)
