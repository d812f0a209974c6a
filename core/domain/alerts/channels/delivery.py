"""How an alert reaches a channel: at once, held back, grouped, or in a summary.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind, Severity

# Alerts of a kind that fire in this time after the first one share its message.
GROUP_WINDOW = timedelta(minutes=5)
# A message lists at most so many alerts one by one.
MAX_GROUP_MEMBERS = 50
# New messages of a channel in an hour; what comes above is told in one summary.
QUOTA = 20
QUOTA_WINDOW = timedelta(hours=1)


class Handling(StrEnum):
    """What becomes of an alert in a channel.

    `SHOWN`: it has a message of its own, or is in that of its group.  `HELD`: it waits for the end
    of quiet hours.  `MUTED`: the channel is muted; it is told when that ends, if it is open then.
    `SUMMED`: the quota is used up, so it is counted in a summary.
    """

    SHOWN = "shown"
    HELD = "held"
    MUTED = "muted"
    SUMMED = "summed"


class GroupType(StrEnum):
    """What a message about alerts is.

    `ALERTS`: one alert, or those of a kind that fired together.  `QUIET`: what happened in quiet
    hours.  `MUTED`: what fired while the channel was muted, and was open when that ended.
    `EARLIER`: what was open already when the channel was subscribed.  `SUMMARY`: what came above
    the quota.
    """

    ALERTS = "alerts"
    QUIET = "quiet"
    MUTED = "muted"
    EARLIER = "earlier"
    SUMMARY = "summary"


# Messages that list alerts of several kinds.
LISTS = frozenset({GroupType.QUIET, GroupType.MUTED, GroupType.EARLIER})


@dataclass(frozen=True, kw_only=True)
class AlertGroup:
    """One row of `alert_groups`: one message of a channel, about one or more alerts.

    Attributes:
        kind: The kind of its alerts; `None` for a summary of several.
        opened_at: When its first alert was told.
        members: The number of its alerts.
        mention: The person or user group that it mentions, in Slack's form.
    """

    id: UUID
    team_id: str
    channel_id: str
    type: GroupType
    opened_at: datetime
    kind: AlertKind | None = None
    members: int = 1
    mention: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What becomes of one alert in one channel.

    Attributes:
        joins: The group that it joins; `None` begins a new message if it is `SHOWN` or `SUMMED`.
        until: When it is told, if it is `HELD`.
        subscription: The subscription that wants it: of several, the one that tells it most.
    """

    handling: Handling
    subscription: Subscription
    joins: UUID | None = None
    until: datetime | None = None


def plan_delivery(
    episode: Episode,
    wanted_by: Sequence[Subscription],
    groups: Iterable[AlertGroup],
    now: datetime,
) -> Plan:
    """Decide what becomes of an alert in a channel that has not been told of it.

    Of several subscriptions, one that is neither muted nor in quiet hours decides; a critical
    alert ignores quiet hours, and nothing but a mute keeps it away.  One that mentions somebody
    joins only a message that does so too, because an edited message notifies nobody.

    Args:
        episode: The alert.
        wanted_by: The subscriptions of one channel that want it; at least one.
        groups: The messages of the channel within `QUOTA_WINDOW`.
        now: The present time.
    """
    awake = [one for one in wanted_by if not one.is_muted(now)]
    if not awake:
        return Plan(handling=Handling.MUTED, subscription=wanted_by[0])
    ends = {one.id: _quiet_until(one, episode, now) for one in awake}
    loud = [one for one in awake if ends[one.id] is None]
    if not loud:
        first = min(awake, key=lambda one: (ends[one.id] or now, one.id))
        return Plan(handling=Handling.HELD, subscription=first, until=ends[first.id])
    chosen = min(loud, key=lambda one: (one.mention is None, one.created_at, one.id))
    known = list(groups)
    joined = _group_to_join(episode, known, now, mention=chosen.mention)
    if joined is not None:
        return Plan(handling=Handling.SHOWN, subscription=chosen, joins=joined)
    recent = [one for one in known if one.opened_at > now - QUOTA_WINDOW]
    summary = next((one.id for one in recent if one.type is GroupType.SUMMARY), None)
    used = sum(one.type is GroupType.ALERTS for one in recent)
    if used >= QUOTA and episode.severity < Severity.CRITICAL:
        return Plan(handling=Handling.SUMMED, subscription=chosen, joins=summary)
    return Plan(handling=Handling.SHOWN, subscription=chosen)


def _group_to_join(
    episode: Episode, groups: Iterable[AlertGroup], now: datetime, *, mention: str | None
) -> UUID | None:
    return next(
        (
            group.id
            for group in groups
            if group.type is GroupType.ALERTS
            and group.kind is episode.kind
            and group.opened_at > now - GROUP_WINDOW
            and group.members < MAX_GROUP_MEMBERS
            and mention in {None, group.mention}
        ),
        None,
    )


def _quiet_until(subscription: Subscription, episode: Episode, now: datetime) -> datetime | None:
    if subscription.quiet_hours is None or episode.severity >= Severity.CRITICAL:
        return None
    return subscription.quiet_hours.ends_at(now)
