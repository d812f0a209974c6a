"""What a subscription wants, as programs send it, and as the core takes it.  Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field

from bot.web.api.alerts.answers import SEVERITIES, SeverityName, mention_of
from bot.web.api.alerts.durations import DurationText
from bot.web.route import Parameters
from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import (
    MAX_FOR,
    AlertFilter,
    DigestPeriod,
    Source,
    Subscription,
)
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.request import MAX_PROGRESS, MIN_PROGRESS, Place

_NO_ID = UUID(int=0)
_NO_TIME = datetime.min.replace(tzinfo=UTC)

ChannelId = Annotated[
    str, Field(pattern=r"^[CDG][A-Z0-9]{2,31}$", description="The Slack id of a channel.")
]


class SubscriptionBody(Parameters):
    """What a channel is told of, and how."""

    kinds: Annotated[list[AlertKind], Field(max_length=len(AlertKind))] = Field(
        default_factory=list, description="Empty for the usual kinds."
    )
    workflow: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Only alerts about runs of this workflow."
    )
    repository: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="An address, or the end of one: `acme/api`."
    )
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = Field(
        default=None, description="The Slack id of a run's owner."
    )
    least_severity: SeverityName | None = None
    least_cost_usd: Annotated[Decimal, Field(ge=Decimal("0.0001"), le=1_000_000)] | None = Field(
        default=None, description="Runs that cost less are left out; `cost` comes at this cost."
    )
    pending_for_seconds: (
        Annotated[int, Field(strict=True, ge=0, le=int(MAX_FOR.total_seconds()))] | None
    ) = Field(default=None, description="How long a state must last before it is told.")
    mention: Annotated[str, Field(pattern=r"^[SUW][A-Z0-9]{2,31}$")] | None = Field(
        default=None, description="A user group or a person to mention when an alert fires."
    )
    broadcasts: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Whether the end of an alert is shown in the channel, too."
    )
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        default="UTC", description="Of the quiet hours and the digest, like `Europe/Berlin`."
    )
    quiet_hours: Annotated[str, Field(min_length=1, max_length=20)] | None = Field(
        default=None, description="Like `22:00-07:00`; only critical alerts come then."
    )
    digest: DigestPeriod | None = None
    digest_hour: Annotated[int, Field(strict=True, ge=0, le=23)] = 9
    progress_every_seconds: (
        Annotated[
            int,
            Field(
                strict=True,
                ge=int(MIN_PROGRESS.total_seconds()),
                le=int(MAX_PROGRESS.total_seconds()),
            ),
        ]
        | None
    ) = Field(default=None, description="How often long runs of the channel post progress.")


class NewSubscriptionBody(SubscriptionBody):
    """A channel, and what it is told of."""

    channel: ChannelId


class MuteBody(Parameters):
    """For how long a channel is told nothing; `null` ends that."""

    channel: ChannelId
    duration: DurationText | None


def new_subscription(body: NewSubscriptionBody, place: Place) -> Subscription:
    """A subscription to be made; the service gives it an id, an author and its times.

    Raises:
        BadQuietHours: If the quiet hours or the time zone are none.
    """
    empty = Subscription(
        id=_NO_ID,
        team_id=place.team_id,
        channel_id=place.channel_id,
        source=Source.API,
        created_at=_NO_TIME,
    )
    return with_wishes(empty, body)


def with_wishes(subscription: Subscription, body: SubscriptionBody) -> Subscription:
    """A subscription with everything that it wants replaced.

    Raises:
        BadQuietHours: If the quiet hours or the time zone are none.
    """
    severity = body.least_severity
    every, pending = body.progress_every_seconds, body.pending_for_seconds
    return replace(
        subscription,
        kinds=frozenset(body.kinds),
        filter=AlertFilter(
            workflow=body.workflow,
            repository=body.repository,
            owner=body.owner,
            least_severity=None if severity is None else SEVERITIES[severity],
            least_cost_usd=body.least_cost_usd,
        ),
        pending_for=None if pending is None else timedelta(seconds=pending),
        mention=None if body.mention is None else mention_of(body.mention),
        broadcasts=body.broadcasts,
        time_zone=body.time_zone,
        quiet_hours=(
            None
            if body.quiet_hours is None
            else QuietHours.parse(body.quiet_hours, time_zone=body.time_zone)
        ),
        digest=body.digest,
        digest_hour=body.digest_hour,
        progress_every=None if every is None else timedelta(seconds=every),
    )
