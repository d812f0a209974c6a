"""Subscriptions of channels to alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.subscription import Source, Subscription
from core.store.tables.alerts.subscriptions import SubscriptionRow, subscription_values

_IS_ACTIVE = SubscriptionRow.ended_at.is_(None)


async def active(session: AsyncSession) -> list[Subscription]:
    """All present subscriptions, oldest first."""
    return await _list(session, select(SubscriptionRow).where(_IS_ACTIVE))


async def of_channel(
    session: AsyncSession, *, team_id: str, channel_id: str, locks: bool = False
) -> list[Subscription]:
    """The present subscriptions of a channel, oldest first.

    Args:
        session: An open database session.
        team_id: The channel's workspace.
        channel_id: The channel.
        locks: Whether to lock the rows until the transaction ends.
    """
    query = select(SubscriptionRow).where(
        _IS_ACTIVE,
        SubscriptionRow.team_id == team_id,
        SubscriptionRow.channel_id == channel_id,
    )
    return await _list(session, query.with_for_update() if locks else query)


async def of_source(session: AsyncSession, source: Source) -> list[Subscription]:
    """The present subscriptions that were made there, locked."""
    return await _list(
        session,
        select(SubscriptionRow)
        .where(_IS_ACTIVE, SubscriptionRow.source == source.value)
        .with_for_update(),
    )


async def get(
    session: AsyncSession, subscription_id: UUID, *, locks: bool = False
) -> Subscription | None:
    """A present subscription; `None` if there is none."""
    query = select(SubscriptionRow).where(_IS_ACTIVE, SubscriptionRow.id == subscription_id)
    row = await session.scalar(query.with_for_update() if locks else query)
    return None if row is None else row.to_subscription()


async def save(session: AsyncSession, subscription: Subscription) -> None:
    """Add a subscription, or write one that has changed."""
    values = subscription_values(subscription)
    await session.execute(
        insert(SubscriptionRow)
        .values(**values)
        .on_conflict_do_update(index_elements=[SubscriptionRow.id], set_=values)
    )


async def end_of_channel(
    session: AsyncSession, *, team_id: str, channel_id: str, reason: str, now: datetime
) -> list[Subscription]:
    """End all subscriptions of a channel that is gone; returns them as they were."""
    rows = await session.scalars(
        update(SubscriptionRow)
        .where(
            _IS_ACTIVE,
            SubscriptionRow.team_id == team_id,
            SubscriptionRow.channel_id == channel_id,
        )
        .values(ended_at=now, ended_reason=reason)
        .returning(SubscriptionRow)
        .execution_options(synchronize_session=False)
    )
    return [row.to_subscription() for row in rows]


async def _list(session: AsyncSession, query: Select[SubscriptionRow]) -> list[Subscription]:
    rows: Sequence[SubscriptionRow] = (
        await session.scalars(query.order_by(SubscriptionRow.created_at, SubscriptionRow.id))
    ).all()
    return [row.to_subscription() for row in rows]
