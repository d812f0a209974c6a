"""Deliveries from Slack: each key is accepted once, each body is stored until it is handled."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.store.tables.slack import DeliveryRow


async def receive(
    session: AsyncSession, key: str, body: Mapping[str, Any], *, now: datetime
) -> bool:
    """Store a delivery; `False` if its key was received before."""
    added = await session.scalar(
        insert(DeliveryRow)
        .values(key=key, body=dict(body), received_at=now)
        .on_conflict_do_nothing()
        .returning(DeliveryRow.key)
    )
    return added is not None


async def mark_done(session: AsyncSession, key: str, *, now: datetime) -> None:
    """Delete the body of a handled delivery; the key stays, to detect duplicates."""
    await session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.key == key, DeliveryRow.done_at.is_(None))
        .values(done_at=now, body=null())
        .execution_options(synchronize_session=False)
    )


async def renew_claims(session: AsyncSession, keys: Collection[str], *, now: datetime) -> None:
    """Renew the claims on deliveries that are still being handled."""
    await session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.key.in_(keys), DeliveryRow.done_at.is_(None))
        .values(claimed_at=now)
        .execution_options(synchronize_session=False)
    )


async def claim_unfinished(
    session: AsyncSession,
    *,
    older_than: datetime,
    newer_than: datetime,
    now: datetime,
    limit: int,
) -> list[tuple[str, Mapping[str, Any]]]:
    """Claim unfinished deliveries, oldest first; two callers never get the same one.

    Args:
        session: An open database session.
        older_than: Skip deliveries that were received, claimed or renewed after this.  A claim
            therefore expires, and a delivery whose claimer died can be claimed again.
        newer_than: Skip deliveries that were received before this.
        now: The current time, the time of the claim.
        limit: The largest number of deliveries to claim.

    Returns:
        The keys and bodies of the claimed deliveries.
    """
    abandoned = (
        select(DeliveryRow.key)
        .where(
            DeliveryRow.done_at.is_(None),
            DeliveryRow.received_at > newer_than,
            DeliveryRow.received_at < older_than,
            or_(DeliveryRow.claimed_at.is_(None), DeliveryRow.claimed_at < older_than),
        )
        .order_by(DeliveryRow.received_at, DeliveryRow.key)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("abandoned")  # evaluated once: a subquery could be run again and claim more
    )
    rows = await session.scalars(
        update(DeliveryRow)
        .where(DeliveryRow.key.in_(select(abandoned.c.key)))
        .values(claimed_at=now)
        .returning(DeliveryRow)
        .execution_options(synchronize_session=False)
    )
    claimed = sorted(rows, key=lambda row: (row.received_at, row.key))
    return [(row.key, row.body or {}) for row in claimed]


async def delete_received_before(session: AsyncSession, *, before: datetime) -> int:
    """Delete the deliveries received before a time, handled or not; returns the number."""
    deleted = await session.scalars(
        delete(DeliveryRow)
        .where(DeliveryRow.received_at < before)
        .returning(DeliveryRow.key)
        .execution_options(synchronize_session=False)
    )
    return len(deleted.all())
