"""Deletion of what alerts and digests have left behind, a limited number of rows at a time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.drawables import DrawableKind
from core.store.slack import drawables
from core.store.tables.alerts.episodes import AlertDeliveryRow, AlertGroupRow
from core.store.tables.alerts.subscriptions import DigestRow, RunDayRow


async def delete_empty_groups(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete messages whose alerts were all deleted, with what is known of them in Slack."""
    has_alerts = (
        select(AlertDeliveryRow.alert_id).where(AlertDeliveryRow.group_id == AlertGroupRow.id)
    ).exists()
    empty = (
        select(AlertGroupRow.id).where(AlertGroupRow.opened_at < before, ~has_alerts).limit(limit)
    )
    deleted = await session.scalars(
        delete(AlertGroupRow)
        .where(AlertGroupRow.id.in_(empty))
        .returning(AlertGroupRow.id)
        .execution_options(synchronize_session=False)
    )
    return await _forget(session, DrawableKind.ALERT, deleted.all())


async def delete_digests(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete digests of periods that ended before a time, with what is known of them in Slack."""
    old = select(DigestRow.id).where(DigestRow.until < before).limit(limit)
    deleted = await session.scalars(
        delete(DigestRow)
        .where(DigestRow.id.in_(old))
        .returning(DigestRow.id)
        .execution_options(synchronize_session=False)
    )
    return await _forget(session, DrawableKind.DIGEST, deleted.all())


async def delete_run_days(session: AsyncSession, *, before: date) -> int:
    """Delete the totals of days before a date; there is one row for each day and workflow."""
    deleted = await session.scalars(
        delete(RunDayRow)
        .where(RunDayRow.day < before)
        .returning(RunDayRow.day)
        .execution_options(synchronize_session=False)
    )
    return len(deleted.all())


async def _forget(session: AsyncSession, kind: DrawableKind, ids: Collection[UUID]) -> int:
    if ids:
        await drawables.delete_drawables(session, kind=kind, keys=[str(one) for one in ids])
    return len(ids)
