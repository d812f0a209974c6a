"""What channels were told of alerts: one row of each alert and channel, and their messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Interval, String, cast, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.delivery import AlertGroup, Handling
from core.domain.alerts.details import ToldChannel
from core.domain.drawables import DrawableKind
from core.store.tables.alerts.episodes import AlertDeliveryRow, AlertEventRow, AlertGroupRow
from core.store.tables.slack import SlackMessageRow


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One row of `alert_deliveries`.

    Attributes:
        group_id: The message in which it is told; `None` if it is not, or not yet.
        held_until: The end of the quiet hours that hold it back.
        told_at: When it came into its message; only read.
    """

    alert_id: UUID
    team_id: str
    channel_id: str
    handling: Handling
    group_id: UUID | None = None
    subscription_id: UUID | None = None
    held_until: datetime | None = None
    told_at: datetime | None = None


async def add(session: AsyncSession, deliveries: Sequence[Delivery], *, now: datetime) -> None:
    """Add deliveries."""
    if deliveries:
        await session.execute(
            insert(AlertDeliveryRow).values(
                [
                    {
                        "alert_id": one.alert_id,
                        "team_id": one.team_id,
                        "channel_id": one.channel_id,
                        "handling": one.handling.value,
                        "group_id": one.group_id,
                        "subscription_id": one.subscription_id,
                        "held_until": one.held_until,
                        "created_at": now,
                    }
                    for one in deliveries
                ]
            )
        )


async def handlings(
    session: AsyncSession, alert_ids: Collection[UUID]
) -> Mapping[tuple[UUID, str, str], Handling]:
    """What became of these alerts, by (alert, team, channel)."""
    if not alert_ids:
        return {}
    rows = await session.execute(
        select(
            AlertDeliveryRow.alert_id,
            AlertDeliveryRow.team_id,
            AlertDeliveryRow.channel_id,
            AlertDeliveryRow.handling,
        ).where(AlertDeliveryRow.alert_id.in_(list(alert_ids)))
    )
    return {
        (alert_id, team_id, channel_id): Handling(handling)
        for alert_id, team_id, channel_id, handling in rows
    }


async def decide_anew(session: AsyncSession, deliveries: Collection[Delivery]) -> None:
    """Write what becomes now of alerts that channels were not told of."""
    for one in deliveries:
        await session.execute(
            update(AlertDeliveryRow)
            .where(
                AlertDeliveryRow.alert_id == one.alert_id,
                AlertDeliveryRow.team_id == one.team_id,
                AlertDeliveryRow.channel_id == one.channel_id,
            )
            .values(
                handling=one.handling.value,
                group_id=one.group_id,
                subscription_id=one.subscription_id,
                held_until=one.held_until,
            )
            .execution_options(synchronize_session=False)
        )


async def recent_groups(session: AsyncSession, *, since: datetime) -> list[AlertGroup]:
    """The messages of all channels that began after a time, newest first."""
    rows = await session.scalars(
        select(AlertGroupRow)
        .where(AlertGroupRow.opened_at > since)
        .order_by(AlertGroupRow.opened_at.desc(), AlertGroupRow.id)
    )
    return [row.to_group() for row in rows]


async def add_groups(session: AsyncSession, groups: Sequence[AlertGroup]) -> None:
    """Add messages."""
    if groups:
        await session.execute(
            insert(AlertGroupRow).values(
                [
                    {
                        "id": group.id,
                        "team_id": group.team_id,
                        "channel_id": group.channel_id,
                        "type": group.type.value,
                        "kind": None if group.kind is None else group.kind.value,
                        "opened_at": group.opened_at,
                        "members": group.members,
                        "mention": group.mention,
                    }
                    for group in groups
                ]
            )
        )


async def set_members(session: AsyncSession, group_id: UUID, members: int) -> None:
    """Write how many alerts a message is about."""
    await session.execute(
        update(AlertGroupRow)
        .where(AlertGroupRow.id == group_id)
        .values(members=members)
        .execution_options(synchronize_session=False)
    )


async def get_group(session: AsyncSession, group_id: UUID) -> AlertGroup | None:
    """One message; `None` if there is none."""
    row = await session.scalar(select(AlertGroupRow).where(AlertGroupRow.id == group_id))
    return None if row is None else row.to_group()


async def of_group(session: AsyncSession, group_id: UUID) -> list[Delivery]:
    """The deliveries of a message, oldest first."""
    rows = await session.scalars(
        select(AlertDeliveryRow)
        .where(AlertDeliveryRow.group_id == group_id)
        .order_by(AlertDeliveryRow.created_at, AlertDeliveryRow.alert_id)
    )
    return [_to_delivery(row) for row in rows]


async def channels_of(session: AsyncSession, alert_id: UUID) -> list[ToldChannel]:
    """The channels that have a delivery of an alert, in the order in which they got it."""
    rows = await session.scalars(
        select(AlertDeliveryRow)
        .where(AlertDeliveryRow.alert_id == alert_id)
        .order_by(
            AlertDeliveryRow.created_at, AlertDeliveryRow.team_id, AlertDeliveryRow.channel_id
        )
    )
    return [
        ToldChannel(
            team_id=row.team_id,
            channel_id=row.channel_id,
            handling=Handling(row.handling),
            subscription_id=row.subscription_id,
            decided_at=row.created_at,
            held_until=row.held_until,
        )
        for row in rows
    ]


async def groups_of(session: AsyncSession, alert_ids: Collection[UUID]) -> list[UUID]:
    """The messages in which any of these alerts is told."""
    if not alert_ids:
        return []
    found = await session.scalars(
        select(AlertDeliveryRow.group_id)
        .where(
            AlertDeliveryRow.alert_id.in_(list(alert_ids)), AlertDeliveryRow.group_id.is_not(None)
        )
        .distinct()
    )
    return [group_id for group_id in found if group_id is not None]


async def with_unshown_events(
    session: AsyncSession, group_ids: Collection[UUID], *, grace: timedelta
) -> list[UUID]:
    """Those of the messages of whose alerts an event is newer than what Slack was sent last.

    Args:
        session: An open database session.
        group_ids: The messages.
        grace: An event that is older than the message by less than this may be missing in it: it
            was read before it was sent, and clocks of machines differ.
    """
    if not group_ids:
        return []
    sent_at = (
        select(func.max(SlackMessageRow.updated_at))
        .where(
            SlackMessageRow.drawable_kind == DrawableKind.ALERT.value,
            SlackMessageRow.thread_key == cast(AlertDeliveryRow.group_id, String),
        )
        .scalar_subquery()
    )
    found = await session.scalars(
        select(AlertDeliveryRow.group_id)
        .join(AlertEventRow, AlertEventRow.alert_id == AlertDeliveryRow.alert_id)
        .where(
            AlertDeliveryRow.group_id.in_(list(group_ids)),
            or_(sent_at.is_(None), AlertEventRow.at > sent_at - literal(grace, Interval)),
        )
        .distinct()
    )
    return [group_id for group_id in found if group_id is not None]


async def held_until(
    session: AsyncSession, now: datetime, *, or_of: Collection[UUID] = ()
) -> list[Delivery]:
    """The deliveries whose quiet hours have ended, locked, by channel.

    Args:
        session: An open database session.
        now: The present time.
        or_of: The ids of alerts whose deliveries are given in any case.
    """
    is_due = AlertDeliveryRow.held_until <= now
    if or_of:
        is_due = or_(is_due, AlertDeliveryRow.alert_id.in_(list(or_of)))
    rows = await session.scalars(
        select(AlertDeliveryRow)
        .where(AlertDeliveryRow.handling == Handling.HELD.value, is_due)
        .order_by(
            AlertDeliveryRow.team_id, AlertDeliveryRow.channel_id, AlertDeliveryRow.created_at
        )
        .with_for_update()
    )
    return [_to_delivery(row) for row in rows]


async def release(session: AsyncSession, deliveries: Collection[Delivery], group_id: UUID) -> None:
    """Tell held deliveries of one channel in a message."""
    await _end_hold(session, deliveries, handling=Handling.SHOWN.value, group_id=group_id)


async def mute(session: AsyncSession, deliveries: Collection[Delivery]) -> None:
    """Leave held deliveries untold."""
    await _end_hold(session, deliveries, handling=Handling.MUTED.value)


async def _end_hold(
    session: AsyncSession, deliveries: Collection[Delivery], **values: object
) -> None:
    for one in deliveries:
        await session.execute(
            update(AlertDeliveryRow)
            .where(
                AlertDeliveryRow.alert_id == one.alert_id,
                AlertDeliveryRow.team_id == one.team_id,
                AlertDeliveryRow.channel_id == one.channel_id,
            )
            .values(held_until=None, **values)
            .execution_options(synchronize_session=False)
        )


def _to_delivery(row: AlertDeliveryRow) -> Delivery:
    return Delivery(
        alert_id=row.alert_id,
        team_id=row.team_id,
        channel_id=row.channel_id,
        handling=Handling(row.handling),
        group_id=row.group_id,
        subscription_id=row.subscription_id,
        held_until=row.held_until,
        told_at=row.created_at,
    )
