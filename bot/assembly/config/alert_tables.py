"""The tables `[alerts]` of signalbox.toml: limits, and subscriptions that are kept in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bot.assembly.config.table import Table
from bot.words.times import parse_time_limit
from core.domain.actor import REQUIRED_ROLES, Action, Role
from core.domain.alerts.channels.quiet_hours import BadQuietHours, QuietHours, require_time_zone
from core.domain.alerts.channels.subscription import AlertFilter, DigestPeriod, Source, Subscription
from core.domain.alerts.detectors.limits import AlertLimits, StallLimits
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.runs.request import MIN_PROGRESS

_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,31}")
_PERSON = re.compile(r"[UW][A-Z0-9]{2,31}")
_GROUP = re.compile(r"S[A-Z0-9]{2,31}")
# The roles that can be the lowest one that subscribes channels.
_SUBSCRIBING = tuple(role for role in Role if role >= REQUIRED_ROLES[Action.SUBSCRIBE])
# Its id is given when it is stored.
_NO_ID = UUID(int=0)


def _length(value: object) -> timedelta:
    length = parse_time_limit(value) if isinstance(value, str) else None
    if length is None:
        raise ValueError('must be a time with its unit, from "10s" to "24h", like "5m"')
    return length


def _severity(value: object) -> Severity:
    names = [severity.name.lower() for severity in Severity]
    if value not in names:
        raise ValueError(f"must be one of {', '.join(map(repr, names))}")
    return Severity[str(value).upper()]


def _subscribing_role(value: object) -> Role:
    names = [role.name.lower() for role in _SUBSCRIBING]
    if value not in names:
        raise ValueError(f"must be one of {', '.join(map(repr, names))}")
    return Role[str(value).upper()]


Length = Annotated[timedelta, BeforeValidator(_length)]
Cost = Annotated[Decimal, Field(gt=0, le=1_000_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class StallTable(Table):
    """`[alerts.workflows.<name>]`: limits of one workflow; the others are those of `[alerts]`."""

    idle: Length | None = None
    tool: Length | None = None
    person: Length | None = None


class SubscriptionTable(Table):
    """One `[[alerts.subscriptions]]`; see `Subscription`."""

    channel: str
    kinds: frozenset[AlertKind] = frozenset()
    workflow: Name | None = None
    repo: Name | None = None
    owner: str | None = None
    severity: Annotated[Severity, BeforeValidator(_severity)] | None = None
    cost: Cost | None = None
    lasting: Length | None = Field(default=None, alias="for")
    mention: str | None = None
    quiet_hours: str | None = None
    time_zone: str = "UTC"
    digest: DigestPeriod | None = None
    digest_hour: int = Field(default=9, ge=0, le=23)
    progress: Length | None = None
    broadcast: bool = False

    @field_validator("channel")
    @classmethod
    def _is_channel(cls, value: str) -> str:
        if not _CHANNEL.fullmatch(value):
            raise ValueError('must be the id of a channel, like "C0123ABCD"')
        return value

    @field_validator("owner")
    @classmethod
    def _is_person(cls, value: str | None) -> str | None:
        if value is not None and not _PERSON.fullmatch(value):
            raise ValueError('must be the id of a person, like "U024BE7LH"')
        return value

    @field_validator("mention")
    @classmethod
    def _is_mention(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if _GROUP.fullmatch(value):
            return f"<!subteam^{value}>"
        if _PERSON.fullmatch(value):
            return f"<@{value}>"
        raise ValueError(
            'must be the id of a user group or a person, like "S0614TZR7" or "U024BE7LH"'
        )

    @field_validator("time_zone")
    @classmethod
    def _is_time_zone(cls, value: str) -> str:
        try:
            require_time_zone(value)
        except BadQuietHours as error:
            raise ValueError('must be a time zone, like "Europe/Berlin" or "UTC"') from error
        return value

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, value: str | None) -> str | None:
        try:
            return None if value is None else str(QuietHours.parse(value, time_zone="UTC"))
        except BadQuietHours as error:
            raise ValueError('must be two times of the day, like "22:00-07:00"') from error

    @field_validator("progress")
    @classmethod
    def _is_not_often(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < MIN_PROGRESS:
            raise ValueError('must be a time with its unit, from "1m" to "24h", like "10m"')
        return value

    def subscription(self, *, team_id: str, now: datetime) -> Subscription:
        """The subscription in a workspace."""
        return Subscription(
            id=_NO_ID,
            team_id=team_id,
            channel_id=self.channel,
            source=Source.CONFIG,
            created_at=now,
            kinds=self.kinds,
            filter=AlertFilter(
                workflow=self.workflow,
                repository=self.repo,
                owner=self.owner,
                least_severity=self.severity,
                least_cost_usd=self.cost,
            ),
            pending_for=self.lasting,
            mention=self.mention,
            broadcasts=self.broadcast,
            time_zone=self.time_zone,
            quiet_hours=None
            if self.quiet_hours is None
            else QuietHours.parse(self.quiet_hours, time_zone=self.time_zone),
            digest=self.digest,
            digest_hour=self.digest_hour,
            progress_every=self.progress,
        )


class AlertsTable(Table):
    """`[alerts]`: from when on things are told; what is left out has the usual limit.

    Attributes:
        idle: How long nothing may be heard of a run.
        tool: The same while a tool call is open whose programs do nothing.
        person: How long a run may wait for a person, a budget or a usage limit.
        long_running: How long a run may take.
        queue: How long a run may wait for a worker.
        cost: From this cost on a run is told, in US dollars.
        slack_lag: How late Slack may show something.
        subscribe: The lowest role that makes, changes, mutes and ends subscriptions of channels.
        workflows: Limits of single workflows.
        subscriptions: What channels are told; it cannot be changed in Slack.
    """

    idle: Length = StallLimits().idle
    tool: Length = StallLimits().tool
    person: Length = StallLimits().person
    long_running: Length = AlertLimits().long_running
    queue: Length = AlertLimits().queue
    cost: Cost = AlertLimits().cost_usd
    slack_lag: Length = AlertLimits().slack_lag
    subscribe: Annotated[Role, BeforeValidator(_subscribing_role)] = Role.RUNNER
    workflows: Mapping[str, StallTable] = Field(default_factory=dict)
    subscriptions: tuple[SubscriptionTable, ...] = ()

    @model_validator(mode="after")
    def _are_different(self) -> AlertsTable:
        seen: list[SubscriptionTable] = []
        for number, one in enumerate(self.subscriptions):
            if one in seen:
                raise ValueError(
                    f"[[alerts.subscriptions]] {number + 1} is the same as {seen.index(one) + 1}; "
                    "remove one of them"
                )
            seen.append(one)
        return self

    def limits(self, names: Mapping[str, str]) -> AlertLimits:
        """The limits as a value.

        Args:
            names: The real name of each workflow that has limits of its own.
        """
        usual = StallLimits(idle=self.idle, tool=self.tool, person=self.person)
        return AlertLimits(
            stall=usual,
            by_workflow={
                names[name]: StallLimits(
                    idle=own.idle or usual.idle,
                    tool=own.tool or usual.tool,
                    person=own.person or usual.person,
                )
                for name, own in self.workflows.items()
            },
            long_running=self.long_running,
            queue=self.queue,
            cost_usd=self.cost,
            slack_lag=self.slack_lag,
        )
