"""What people ask of alerts, as typed values: the same from commands and from the form."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import AlertFilter, DigestPeriod, Source, Subscription
from core.domain.alerts.kinds import USUAL_KINDS, AlertKind
from core.domain.runs.request import Place

# The owner that means the person who asks.
ME = "me"
# A new subscription gets its real id from the service.
_NO_ID = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class AlertWishes:
    """What a subscription is to tell, and how.

    Attributes:
        kinds: What is told; empty for the usual kinds.
        filter: Its owner is a Slack id, or `ME`.
        mention: `<!subteam^S…>`, `<@U…>`, or `@name` of a user group.
        quiet_hours: Like `22:00-07:00`; read already, so it is valid.
        time_zone: `None` for that of the person.
    """

    kinds: frozenset[AlertKind] = frozenset()
    filter: AlertFilter = field(default_factory=AlertFilter)
    pending_for: timedelta | None = None
    mention: str | None = None
    broadcasts: bool = False
    quiet_hours: str | None = None
    time_zone: str | None = None
    digest: DigestPeriod | None = None
    digest_hour: int = 9
    progress_every: timedelta | None = None

    def for_person(self, *, user_id: str, mention: str | None, time_zone: str) -> AlertWishes:
        """The wishes with what depends on the person who asks.

        Args:
            user_id: The person's id in Slack.
            mention: The mention in Slack's form.
            time_zone: The person's own; it counts unless another one is asked for.
        """
        owner = user_id if self.filter.owner == ME else self.filter.owner
        return replace(
            self,
            filter=replace(self.filter, owner=owner),
            mention=mention,
            time_zone=self.time_zone or time_zone,
        )

    def subscription(self, place: Place, *, now: datetime) -> Subscription:
        """A subscription of a channel; the service gives it its id, its author and its times."""
        blank = Subscription(
            id=_NO_ID,
            team_id=place.team_id,
            channel_id=place.channel_id,
            source=Source.SLACK,
            created_at=now,
        )
        return self.applied_to(blank)

    def applied_to(self, present: Subscription) -> Subscription:
        """The subscription with these wishes instead of its own."""
        zone = self.time_zone or present.time_zone
        wanted: dict[str, Any] = {
            "kinds": frozenset() if self.kinds == USUAL_KINDS else self.kinds,
            "filter": self.filter,
            "pending_for": self.pending_for,
            "mention": self.mention,
            "broadcasts": self.broadcasts,
            "time_zone": zone,
            "quiet_hours": (
                None
                if self.quiet_hours is None
                else QuietHours.parse(self.quiet_hours, time_zone=zone)
            ),
            "digest": self.digest,
            "digest_hour": self.digest_hour,
            "progress_every": self.progress_every,
        }
        return replace(present, **wanted)


@dataclass(frozen=True, kw_only=True)
class SubscribeAlerts:
    """Subscribe the channel."""

    wishes: AlertWishes


@dataclass(frozen=True, kw_only=True)
class OpenAlertForm:
    """Open the form for a new subscription: `alerts subscribe` without arguments."""


@dataclass(frozen=True, kw_only=True)
class ListAlerts:
    """List the channel's subscriptions.

    Attributes:
        opens_form: Whether to open the form if there are none.
    """

    opens_form: bool = False


@dataclass(frozen=True, kw_only=True)
class EditAlerts:
    """Open the form for a subscription; without a number for the only one."""

    number: int | None = None


@dataclass(frozen=True, kw_only=True)
class MuteAlerts:
    """Mute the channel for a time; without one, end the mute."""

    duration: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class UnsubscribeAlerts:
    """End a subscription: that with a number, the only one, or all."""

    number: int | None = None
    is_all: bool = False


@dataclass(frozen=True, kw_only=True)
class ShowExampleAlert:
    """Show what an alert of a kind looks like; without one, one that the channel would get."""

    kind: AlertKind | None = None


AlertCommand = (
    SubscribeAlerts
    | OpenAlertForm
    | ListAlerts
    | EditAlerts
    | MuteAlerts
    | UnsubscribeAlerts
    | ShowExampleAlert
)
