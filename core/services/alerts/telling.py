"""Tells channels of alerts: each alert in each channel once, in one message."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.delivery import (
    QUOTA_WINDOW,
    AlertGroup,
    GroupType,
    Handling,
    Plan,
    plan_delivery,
)
from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.episode import Episode
from core.services.alerts.lists import tell_after_mute
from core.services.alerts.requests import draw_again, request_message
from core.services.alerts.wishes import Channel, Wish, urgency, wishes_of
from core.store.alerts import deliveries
from core.store.alerts.deliveries import Delivery


@dataclass
class _Told:
    """What is to be written about deliveries and their messages."""

    groups: dict[UUID, AlertGroup]
    new_groups: dict[UUID, AlertGroup] = field(default_factory=dict)
    joined: set[UUID] = field(default_factory=set)
    deliveries: list[Delivery] = field(default_factory=list)

    def of_channel(self, channel: Channel) -> list[AlertGroup]:
        return [
            group
            for group in (*self.new_groups.values(), *self.groups.values())
            if (group.team_id, group.channel_id) == channel
        ]

    def join(self, group_id: UUID) -> None:
        known = self.new_groups if group_id in self.new_groups else self.groups
        known[group_id] = replace(known[group_id], members=known[group_id].members + 1)
        if known is self.groups:
            self.joined.add(group_id)


async def tell(
    session: AsyncSession,
    episodes: Sequence[Episode],
    subscriptions: Sequence[Subscription],
    now: datetime,
    *,
    changed: Collection[UUID],
    cost_limit: Decimal,
) -> None:
    """Tell the channels that want to know, and have what is shown of changed alerts drawn again.

    Args:
        session: An open database session.
        episodes: The alerts that have fired and are open, and those that have just ended.
        subscriptions: The present subscriptions.
        now: The present time.
        changed: The ids of alerts that have changed since they were last drawn.
        cost_limit: The team's limit for `cost`, in US dollars.
    """
    # Before new deliveries are added: what is drawn for the first time is up to date.
    await draw_again(session, await deliveries.groups_of(session, changed))
    wishes = list(wishes_of(episodes, subscriptions, now, cost_limit=cost_limit))
    known = await deliveries.handlings(session, {wish.episode.id for wish in wishes})
    new = [wish for wish in wishes if wish.key not in known]
    muted = [wish for wish in wishes if known.get(wish.key) is Handling.MUTED]
    await tell_after_mute(session, muted, now)
    if not new:
        return
    # The most urgent ones first, because the quota may be used up between them.
    new.sort(key=lambda wish: urgency(wish.episode))
    recent = await deliveries.recent_groups(session, since=now - QUOTA_WINDOW)
    state = _Told(groups={group.id: group for group in recent})
    for wish in new:
        groups = state.of_channel(wish.channel)
        plan = plan_delivery(wish.episode, wish.subscriptions, groups, now)
        _add(state, wish, plan, now)
    await _write(session, state, now)


def _add(state: _Told, wish: Wish, plan: Plan, now: datetime) -> None:
    group_id = plan.joins
    team_id, channel_id = wish.channel
    if group_id is not None:
        state.join(group_id)
    elif plan.handling in {Handling.SHOWN, Handling.SUMMED}:
        is_summary = plan.handling is Handling.SUMMED
        group_id = uuid4()
        state.new_groups[group_id] = AlertGroup(
            id=group_id,
            team_id=team_id,
            channel_id=channel_id,
            type=GroupType.SUMMARY if is_summary else GroupType.ALERTS,
            opened_at=now,
            kind=None if is_summary else wish.episode.kind,
            mention=None if is_summary else plan.subscription.mention,
        )
    state.deliveries.append(wish.delivery(plan, group_id))


async def _write(session: AsyncSession, state: _Told, now: datetime) -> None:
    await deliveries.add_groups(session, list(state.new_groups.values()))
    await deliveries.add(session, state.deliveries, now=now)
    for group_id in sorted(state.joined):
        await deliveries.set_members(session, group_id, state.groups[group_id].members)
    await draw_again(session, state.joined)
    for group in state.new_groups.values():
        await request_message(session, group)
