"""Subscriptions: which alerts a channel gets, and how.  Pure matching of alerts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.detectors.limits import COST_LIMIT_USD
from core.domain.alerts.episode import Episode, lifetime_of
from core.domain.alerts.kinds import USUAL_KINDS, AlertKind, Lifetime, Severity, SubjectType
from core.domain.errors import BadRequest, Conflict, NotFound

MAX_SUBSCRIPTIONS_PER_CHANNEL = 20
MAX_FILTER_CHARS = 200
# The limits of `for=` and of a mute.
MAX_FOR = timedelta(hours=24)
MIN_MUTE, MAX_MUTE = timedelta(minutes=1), timedelta(days=30)


class Source(StrEnum):
    """Where a subscription was made; one from the configuration cannot be changed elsewhere."""

    SLACK = "slack"
    API = "api"
    CONFIG = "config"


class DigestPeriod(StrEnum):
    """How often a channel gets a digest."""

    DAILY = "daily"
    WEEKLY = "weekly"


@dataclass(frozen=True, kw_only=True)
class AlertFilter:
    """Which alerts of the chosen kinds; `None` is no restriction.

    A filter by workflow, repository, owner or cost restricts only alerts that have one: an alert
    about the fleet comes whatever runs are filtered for.

    Attributes:
        workflow: The name of a workflow.
        repository: The address of a repository, or the end of one: `acme/api`.
        owner: The Slack id of a run's owner.
        least_severity: Less severe alerts are left out.
        least_cost_usd: The alert `cost` comes at this cost instead of the team's limit; other
            alerts about cheaper runs are left out.
    """

    workflow: str | None = None
    repository: str | None = None
    owner: str | None = None
    least_severity: Severity | None = None
    least_cost_usd: Decimal | None = None

    def matches(self, episode: Episode, *, cost_limit: Decimal = COST_LIMIT_USD) -> bool:
        """Whether an alert passes.

        Args:
            episode: The alert.
            cost_limit: The team's limit for `cost`, for a filter that has none of its own: the
                alert may have fired at the lower limit of another channel.
        """
        scope = episode.scope
        if self.least_severity is not None and episode.severity < self.least_severity:
            return False
        is_about_workflow = scope.workflow is not None
        if self.workflow is not None and is_about_workflow and scope.workflow != self.workflow:
            return False
        if episode.subject.type is not SubjectType.RUN:
            return True
        if self.repository is not None and not _is_repository(scope.repository, self.repository):
            return False
        if self.owner is not None and scope.owner_id != self.owner:
            return False
        least = self.least_cost_usd
        if least is None and episode.kind is AlertKind.COST:
            least = cost_limit
        return least is None or (scope.cost_usd or 0) >= least


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One row of `alert_subscriptions`.

    Attributes:
        kinds: What is told; empty for `USUAL_KINDS`.
        pending_for: An alert about a state is told only when it has lasted for so long.
        mention: A user group or a person to mention when an alert fires, in Slack's form
            (`<!subteam^S0614TZR7>`, `<@U024BE7LH>`); `None` mentions nobody.
        broadcasts: Whether the end of an alert is shown in the channel too, not only by the edited
            message and in its thread.
        time_zone: Of `quiet_hours` and of the digest.
        digest_hour: The hour of the day at which a digest comes; a weekly one comes on Mondays.
        progress_every: How often long runs of the channel post their progress.
        created_by: The name of the person or program.
        ended_reason: Why there is no such subscription any more: `unsubscribed`, or the error
            with which Slack refused the channel.
    """

    id: UUID
    team_id: str
    channel_id: str
    source: Source
    created_at: datetime
    kinds: frozenset[AlertKind] = frozenset()
    filter: AlertFilter = field(default_factory=AlertFilter)
    pending_for: timedelta | None = None
    mention: str | None = None
    broadcasts: bool = False
    time_zone: str = "UTC"
    quiet_hours: QuietHours | None = None
    digest: DigestPeriod | None = None
    digest_hour: int = 9
    progress_every: timedelta | None = None
    muted_until: datetime | None = None
    muted_by: str | None = None
    created_by: str | None = None
    created_by_id: UUID | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: str | None = None

    @property
    def chosen_kinds(self) -> frozenset[AlertKind]:
        """The kinds that it tells."""
        return self.kinds or USUAL_KINDS

    def is_muted(self, now: datetime) -> bool:
        """Whether it tells nothing at present."""
        return self.muted_until is not None and now < self.muted_until

    def wants(
        self, episode: Episode, now: datetime, *, cost_limit: Decimal = COST_LIMIT_USD
    ) -> bool:
        """Whether an alert that has fired is to be told here now, muted or not.

        A subscription with `pending_for` wants a state that has lasted for so long and is not
        over; what happened once is wanted at once.
        """
        if episode.kind not in self.chosen_kinds:
            return False
        if not self.filter.matches(episode, cost_limit=cost_limit):
            return False
        if self.pending_for is None or lifetime_of(episode) is not Lifetime.STATE:
            return True
        return episode.is_open and now - episode.opened_at >= self.pending_for


class SubscriptionNotFound(NotFound):
    """The channel has no such subscription."""

    code = "subscription_not_found"

    def __init__(self, named: str) -> None:
        super().__init__(
            f"no subscription {named!r}",
            user_message="There is no such subscription to alerts.",
        )


class SubscriptionFixed(Conflict):
    """The subscription is kept in the configuration, and can only be changed there."""

    code = "subscription_fixed"

    def __init__(self, subscription_id: UUID) -> None:
        super().__init__(
            f"subscription {subscription_id} comes from the configuration",
            user_message="This subscription is kept in `signalbox.toml`; change it there.",
        )


class TooManySubscriptions(Conflict):
    """The channel has as many subscriptions as it may have."""

    code = "too_many_subscriptions"

    def __init__(self, channel_id: str) -> None:
        super().__init__(
            f"channel {channel_id} has {MAX_SUBSCRIPTIONS_PER_CHANNEL} subscriptions",
            user_message=f"This channel already has {MAX_SUBSCRIPTIONS_PER_CHANNEL} subscriptions. "
            "Change or remove one of them first.",
        )


class BadSubscription(BadRequest):
    """A subscription asks for something that is out of bounds."""

    code = "bad_subscription"


def _is_repository(address: str | None, wanted: str) -> bool:
    if address is None:
        return False
    have, want = (text.lower().rstrip("/").removesuffix(".git") for text in (address, wanted))
    return have == want or have.endswith(("/" + want, ":" + want))
