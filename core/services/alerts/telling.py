"""Tells channels of alerts: each alert in each channel once, in one message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.delivery import (
    QUOTA_WINDOW,
    AlertGroup,
    GroupType,
    Handling,
    Plan,
    plan_delivery,
)
from core.domain.alerts.episode import Episode
from core.domain.alerts.subscription import Subscription
from core.domain.drawables import DrawableId, DrawableKind, DrawablePlace, DrawableRequest
from core.domain.feed import ChangeKind
from core.store import changes
from core.store.alerts import deliveries
from core.store.alerts.deliveries import Delivery
from core.store.slack import drawables

Channel = tuple[str, str]


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


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """One alert that the subscriptions of one channel want."""

    episode: Episode
    channel: Channel
    subscriptions: Sequence[Subscription]


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
    wishes = list(_wishes(episodes, subscriptions, now, cost_limit=cost_limit))
    told = await deliveries.told_channels(session, {wish.episode.id for wish in wishes})
    new = [wish for wish in wishes if wish.channel not in told.get(wish.episode.id, frozenset())]
    if not new:
        return
    # The most urgent ones first, because the quota may be used up between them.
    new.sort(key=lambda wish: _urgency(wish.episode))
    recent = await deliveries.recent_groups(session, since=now - QUOTA_WINDOW)
    state = _Told(groups={group.id: group for group in recent})
    for wish in new:
        groups = state.of_channel(wish.channel)
        plan = plan_delivery(wish.episode, wish.subscriptions, groups, now)
        _add(state, wish, plan, now)
    await _write(session, state, now)


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
        await _request(session, group)


async def draw_again(session: AsyncSession, groups: Collection[UUID]) -> None:
    """Have messages about alerts drawn again, because what they show has changed."""
    ids = [DrawableId(DrawableKind.ALERT, str(group)) for group in groups]
    for raised in await drawables.raise_versions(session, ids):
        await changes.record(session, ChangeKind.DRAWABLE, str(raised), "requested")


def _urgency(episode: Episode) -> tuple[int, datetime, str, str]:
    return -episode.severity, episode.opened_at, episode.kind, episode.subject.id


def _wishes(
    episodes: Sequence[Episode],
    subscriptions: Sequence[Subscription],
    now: datetime,
    *,
    cost_limit: Decimal,
) -> Iterator[_Wish]:
    for episode in episodes:
        # What has ended is news only if it fired at this look: a channel that was to hear of it
        # later, because of `for=` or of a snooze, need not hear of it any more.
        is_news = episode.is_open or episode.fired_at == now
        if not episode.is_told or not is_news or episode.is_snoozed(now):
            continue
        by_channel: dict[Channel, list[Subscription]] = defaultdict(list)
        for subscription in subscriptions:
            if subscription.wants(episode, now, cost_limit=cost_limit):
                by_channel[subscription.team_id, subscription.channel_id].append(subscription)
        for channel, wanted in by_channel.items():
            yield _Wish(episode=episode, channel=channel, subscriptions=wanted)


def _add(state: _Told, wish: _Wish, plan: Plan, now: datetime) -> None:
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
    state.deliveries.append(
        Delivery(
            alert_id=wish.episode.id,
            team_id=team_id,
            channel_id=channel_id,
            handling=plan.handling,
            group_id=group_id,
            subscription_id=plan.subscription.id,
            held_until=plan.until,
        )
    )


async def _write(session: AsyncSession, state: _Told, now: datetime) -> None:
    await deliveries.add_groups(session, list(state.new_groups.values()))
    await deliveries.add(session, state.deliveries, now=now)
    for group_id in sorted(state.joined):
        await deliveries.set_members(session, group_id, state.groups[group_id].members)
    await draw_again(session, state.joined)
    for group in state.new_groups.values():
        await _request(session, group)


async def _request(session: AsyncSession, group: AlertGroup) -> None:
    wanted = DrawableRequest(
        drawable=DrawableId(DrawableKind.ALERT, str(group.id)),
        place=DrawablePlace(team_id=group.team_id, channel_id=group.channel_id),
    )
    if await drawables.request(session, wanted):
        await changes.record(session, ChangeKind.DRAWABLE, str(wanted.drawable), "requested")
