"""Alerts and subscriptions as JSON: the models of the answers, and how they are made.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from bot.web.api.alerts.sentences import alert_sentence
from bot.web.api.values import money
from bot.web.route import Answer
from core.domain.alerts.channels.delivery import Handling
from core.domain.alerts.channels.subscription import DigestPeriod, Source, Subscription
from core.domain.alerts.details import AlertDetails
from core.domain.alerts.episode import AlertState, Episode, Resolution
from core.domain.alerts.history import AlertEvent, AlertEventRecord
from core.domain.alerts.kinds import AlertKind, Severity, SubjectType


class SeverityName(StrEnum):
    """How urgent an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


SEVERITIES: Mapping[SeverityName, Severity] = MappingProxyType(
    {name: Severity[name.name] for name in SeverityName}
)
_NAMES: Mapping[Severity, SeverityName] = MappingProxyType(
    {severity: name for name, severity in SEVERITIES.items()}
)


class SubjectAnswer(Answer):
    """What an alert is about; `type` gives `id` its meaning."""

    type: SubjectType
    id: str


class AlertAnswer(Answer):
    """An alert.

    Attributes:
        sentence: What it tells, with its numbers, for people.
        evidence: The same numbers for programs; which ones depends on `kind`.
        run_id: The run that it is about; `null` if it is about something else.
        opened_at: When the state began; an alert about a state fires some time after that.
        recovering_at: Since when the state is over; it is resolved when that has lasted.
        resolution: Why it has ended.
        occurrences: How often the state was observed anew.
        is_unstable: Whether the state comes and goes; then it is resolved after 30 quiet minutes.
        snoozed_until: It is not told again until then.
        version: Rises with each change.
    """

    alert_id: UUID
    kind: AlertKind
    severity: SeverityName
    state: AlertState
    is_open: bool
    sentence: str
    evidence: dict[str, Any]
    subject: SubjectAnswer
    run_id: str | None
    workflow: str | None
    repository: str | None
    owner: str | None
    opened_at: datetime
    fired_at: datetime | None
    recovering_at: datetime | None
    resolved_at: datetime | None
    resolution: Resolution | None
    occurrences: int
    is_unstable: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    snoozed_until: datetime | None
    snoozed_by: str | None
    version: int


class AlertList(Answer):
    """A page of alerts, the newest first; the figures are as in the list of runs."""

    alerts: list[AlertAnswer]
    total_count: int
    total_count_is_exact: bool
    next: str | None


class AlertEventAnswer(Answer):
    """Something that happened to an alert.

    Attributes:
        by: The person who did it; `null` for what happened by itself.
    """

    at: datetime
    what: AlertEvent
    by: str | None
    data: dict[str, Any]


class ToldChannelAnswer(Answer):
    """What became of an alert in one channel.

    Attributes:
        handling: `shown`: it is in a message; `held`: it waits for the end of quiet hours; `muted`:
            it is told when the mute ends, if it is open then; `summed`: it is counted in a summary.
    """

    channel: str
    handling: Handling
    subscription_id: UUID | None
    decided_at: datetime
    held_until: datetime | None


class AlertDetailsAnswer(AlertAnswer):
    """An alert with what happened to it, oldest first, and the channels that wanted it."""

    events: list[AlertEventAnswer]
    channels: list[ToldChannelAnswer]


class SubscriptionAnswer(Answer):
    """What a channel is told of, and how.

    Attributes:
        kinds: What it was subscribed to; empty for the usual kinds.
        chosen_kinds: The kinds that it is told of.
        pending_for_seconds: A state is told when it has lasted for so long.
        mention: A user group (`S…`) or a person (`U…`), mentioned when an alert fires.
        muted_until: Nothing is told until then.
    """

    subscription_id: UUID
    channel: str
    source: Source
    kinds: list[AlertKind]
    chosen_kinds: list[AlertKind]
    workflow: str | None
    repository: str | None
    owner: str | None
    least_severity: SeverityName | None
    least_cost_usd: float | None
    pending_for_seconds: int | None
    mention: str | None
    broadcasts: bool
    time_zone: str
    quiet_hours: str | None
    digest: DigestPeriod | None
    digest_hour: int
    progress_every_seconds: int | None
    muted_until: datetime | None
    muted_by: str | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime | None


class SubscriptionList(Answer):
    """Subscriptions, oldest first."""

    subscriptions: list[SubscriptionAnswer]


class EndedSubscription(Answer):
    """A subscription that there is no more."""

    subscription_id: UUID
    channel: str
    message: str


def alert_answer(episode: Episode, now: datetime) -> AlertAnswer:
    """An alert as JSON."""
    return AlertAnswer(**_alert_fields(episode, now))


def alert_details_answer(details: AlertDetails, now: datetime) -> AlertDetailsAnswer:
    """An alert with its events and channels as JSON."""
    return AlertDetailsAnswer(
        **_alert_fields(details.episode, now),
        events=[_event(one) for one in details.events],
        channels=[
            ToldChannelAnswer(
                channel=one.channel_id,
                handling=one.handling,
                subscription_id=one.subscription_id,
                decided_at=one.decided_at,
                held_until=one.held_until,
            )
            for one in details.channels
        ],
    )


def subscription_answer(subscription: Subscription) -> SubscriptionAnswer:
    """A subscription as JSON."""
    wanted = subscription.filter
    severity = wanted.least_severity
    pending, every = subscription.pending_for, subscription.progress_every
    return SubscriptionAnswer(
        subscription_id=subscription.id,
        channel=subscription.channel_id,
        source=subscription.source,
        kinds=sorted(subscription.kinds),
        chosen_kinds=sorted(subscription.chosen_kinds),
        workflow=wanted.workflow,
        repository=wanted.repository,
        owner=wanted.owner,
        least_severity=None if severity is None else _NAMES[severity],
        least_cost_usd=money(wanted.least_cost_usd),
        pending_for_seconds=None if pending is None else int(pending.total_seconds()),
        mention=None if subscription.mention is None else mentioned_id(subscription.mention),
        broadcasts=subscription.broadcasts,
        time_zone=subscription.time_zone,
        quiet_hours=None if subscription.quiet_hours is None else str(subscription.quiet_hours),
        digest=subscription.digest,
        digest_hour=subscription.digest_hour,
        progress_every_seconds=None if every is None else int(every.total_seconds()),
        muted_until=subscription.muted_until,
        muted_by=subscription.muted_by,
        created_by=subscription.created_by,
        created_at=subscription.created_at,
        updated_at=subscription.updated_at,
    )


def mention_of(slack_id: str) -> str:
    """A user group or a person by its id, in Slack's form."""
    return f"<!subteam^{slack_id}>" if slack_id.startswith("S") else f"<@{slack_id}>"


def mentioned_id(mention: str) -> str:
    """The id in a mention in Slack's form: the opposite of `mention_of`."""
    return mention.removeprefix("<!subteam^").removeprefix("<@").removesuffix(">").split("|")[0]


def _alert_fields(episode: Episode, now: datetime) -> dict[str, Any]:
    subject, scope = episode.subject, episode.scope
    return {
        "alert_id": episode.id,
        "kind": episode.kind,
        "severity": _NAMES[episode.severity],
        "state": episode.state,
        "is_open": episode.is_open,
        "sentence": alert_sentence(episode, now),
        "evidence": dict(episode.evidence),
        "subject": SubjectAnswer(type=subject.type, id=subject.id),
        "run_id": subject.id if subject.type is SubjectType.RUN else None,
        "workflow": scope.workflow,
        "repository": scope.repository,
        "owner": scope.owner_name,
        "opened_at": episode.opened_at,
        "fired_at": episode.fired_at,
        "recovering_at": episode.recovering_at,
        "resolved_at": episode.resolved_at,
        "resolution": episode.resolution,
        "occurrences": episode.occurrences,
        "is_unstable": episode.is_unstable,
        "acknowledged_at": episode.acknowledged_at,
        "acknowledged_by": episode.acknowledged_by,
        "snoozed_until": episode.snoozed_until,
        "snoozed_by": episode.snoozed_by,
        "version": episode.version,
    }


def _event(record: AlertEventRecord) -> AlertEventAnswer:
    return AlertEventAnswer(at=record.at, what=record.what, by=record.by, data=dict(record.data))
