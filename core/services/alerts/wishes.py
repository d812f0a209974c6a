"""What channels want to be told: alerts, each with the subscriptions that want it.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from core.domain.alerts.channels.delivery import Plan
from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.episode import Episode
from core.store.alerts.deliveries import Delivery

# A workspace and a channel of it.
Channel = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One alert that the subscriptions of one channel want."""

    episode: Episode
    channel: Channel
    subscriptions: Sequence[Subscription]

    @property
    def key(self) -> tuple[UUID, str, str]:
        """What its delivery is found by."""
        return self.episode.id, *self.channel

    def delivery(self, plan: Plan, group_id: UUID | None) -> Delivery:
        """The delivery that was decided."""
        team_id, channel_id = self.channel
        return Delivery(
            alert_id=self.episode.id,
            team_id=team_id,
            channel_id=channel_id,
            handling=plan.handling,
            group_id=group_id,
            subscription_id=plan.subscription.id,
            held_until=plan.until,
        )


def wishes_of(
    episodes: Sequence[Episode],
    subscriptions: Sequence[Subscription],
    now: datetime,
    *,
    cost_limit: Decimal,
) -> Iterator[Wish]:
    """Which channels want which of the alerts now, muted or not; whether they know them is open.

    Args:
        episodes: The alerts that are open, and those that have just ended.
        subscriptions: The subscriptions to ask.
        now: The present time.
        cost_limit: The team's limit for `cost`, in US dollars.
    """
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
            yield Wish(episode=episode, channel=channel, subscriptions=wanted)


def urgency(episode: Episode) -> tuple[int, datetime, str, str]:
    """The order in which alerts are told: the most urgent one first."""
    return -episode.severity, episode.opened_at, episode.kind, episode.subject.id
