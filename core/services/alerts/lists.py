"""Messages that list alerts: of quiet hours, of a mute, and of the time before a subscription."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.delivery import (
    AlertGroup,
    GroupType,
    Handling,
    Plan,
    plan_delivery,
)
from core.domain.alerts.channels.subscription import Subscription
from core.services.alerts.requests import request_message
from core.services.alerts.wishes import Channel, Wish, urgency, wishes_of
from core.store.alerts import deliveries, episodes
from core.store.alerts.deliveries import Delivery


async def release_held(
    session: AsyncSession,
    subscriptions: Sequence[Subscription],
    now: datetime,
    *,
    at_once: Collection[UUID] = (),
) -> None:
    """Tell what was held back in quiet hours that have ended: one message for each channel.

    A channel that has been muted since, or has no subscription any more, is not told.

    Args:
        session: An open database session.
        subscriptions: The present subscriptions.
        now: The present time.
        at_once: The ids of alerts that have become too urgent to be held any longer.
    """
    mentions: dict[UUID | None, str | None] = {one.id: one.mention for one in subscriptions}
    listening = {(one.team_id, one.channel_id) for one in subscriptions if not one.is_muted(now)}
    due = await deliveries.held_until(session, now, or_of=at_once)
    for (team_id, channel_id), held in groupby(due, key=lambda one: (one.team_id, one.channel_id)):
        members = list(held)
        wanted = [mentions.get(one.subscription_id) for one in members]
        if (team_id, channel_id) not in listening:
            await deliveries.mute(session, members)
            continue
        group = AlertGroup(
            id=uuid4(),
            team_id=team_id,
            channel_id=channel_id,
            type=GroupType.QUIET,
            opened_at=now,
            members=len(members),
            mention=next((mention for mention in wanted if mention is not None), None),
        )
        await deliveries.add_groups(session, [group])
        await deliveries.release(session, members, group.id)
        await request_message(session, group)


async def tell_earlier(
    session: AsyncSession, subscription: Subscription, now: datetime, *, cost_limit: Decimal
) -> None:
    """Tell a channel of what is open already when it is subscribed: in one message at most.

    It calls nobody: what it tells is no news to those who take care of it.

    Args:
        session: An open database session that holds the lock of the evaluation.
        subscription: One that was made or changed just now.
        now: The present time.
        cost_limit: The team's limit for `cost`, in US dollars.
    """
    present = await episodes.open_episodes(session)
    wishes = list(wishes_of(present, [subscription], now, cost_limit=cost_limit))
    known = await deliveries.handlings(session, {wish.episode.id for wish in wishes})
    plans = [
        (wish, plan_delivery(wish.episode, wish.subscriptions, (), now))
        for wish in wishes
        if wish.key not in known
    ]
    told = await _list_in_one(session, plans, GroupType.EARLIER, now)
    await deliveries.add(session, told, now=now)


async def tell_after_mute(session: AsyncSession, muted: Sequence[Wish], now: datetime) -> None:
    """Tell channels that are muted no longer of what fired meanwhile and is open still."""
    by_channel: dict[Channel, list[tuple[Wish, Plan]]] = defaultdict(list)
    for wish in sorted(muted, key=lambda one: urgency(one.episode)):
        plan = plan_delivery(wish.episode, wish.subscriptions, (), now)
        if wish.episode.is_open and plan.handling is not Handling.MUTED:
            by_channel[wish.channel].append((wish, plan))
    for plans in by_channel.values():
        told = await _list_in_one(session, plans, GroupType.MUTED, now, mentions=True)
        await deliveries.decide_anew(session, told)


async def _list_in_one(
    session: AsyncSession,
    plans: Sequence[tuple[Wish, Plan]],
    type_: GroupType,
    now: datetime,
    *,
    mentions: bool = False,
) -> list[Delivery]:
    """List those alerts of one channel that are to be told now in a new message.

    Returns:
        The deliveries of all of them; those in quiet hours are held.
    """
    shown = [(wish, plan) for wish, plan in plans if plan.handling is Handling.SHOWN]
    group_id = uuid4()
    if shown:
        wanted = [plan.subscription.mention for _, plan in shown] if mentions else []
        team_id, channel_id = shown[0][0].channel
        group = AlertGroup(
            id=group_id,
            team_id=team_id,
            channel_id=channel_id,
            type=type_,
            opened_at=now,
            members=len(shown),
            mention=next((mention for mention in wanted if mention is not None), None),
        )
        await deliveries.add_groups(session, [group])
        await request_message(session, group)
    return [
        wish.delivery(plan, group_id if plan.handling is Handling.SHOWN else None)
        for wish, plan in plans
    ]
