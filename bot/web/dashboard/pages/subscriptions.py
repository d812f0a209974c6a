"""The pages of subscriptions: which alerts channels are told of, and the form that changes one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated, Any, Self

from pydantic import Field

from bot.web.api.alerts.answers import SubscriptionAnswer, mentioned_id, subscription_answer
from bot.web.api.alerts.sentences import alert_sentence
from bot.web.api.alerts.subscription_routes import SubscriptionPath
from bot.web.api.table import ApiServices
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.dashboard.pages.alerts import SEVERITY_TONES
from bot.web.route import LenientParameters, NoParameters
from bot.words.alerts.titles import alert_title
from bot.words.markup import PLAIN
from bot.words.subscriptions import subscription_words
from bot.words.times import duration
from core.domain.actor import Action, Role
from core.domain.alerts.channels.subscription import (
    AlertFilter,
    DigestPeriod,
    Source,
    Subscription,
)
from core.domain.alerts.example import example_episode
from core.domain.alerts.kinds import KIND_RULES, USUAL_KINDS, AlertKind, Severity

_MINUTE = 60
# Ready choices of how long something must last, and of how often progress is posted, in seconds.
_PENDING = (5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, 60 * _MINUTE)
_PROGRESS = (5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, 60 * _MINUTE)
_MAX_CHANNELS = 500


@dataclass(frozen=True)
class SubscriptionRow:
    """A subscription in a list.

    Attributes:
        words: What it tells and how, in parts.
        example: What an alert that it tells looks like: a tone, a title, a sentence, and whether
            it would come now.
    """

    shown: SubscriptionAnswer
    words: Sequence[str]
    is_fixed: bool
    example: tuple[str, str, str, str]

    @classmethod
    def of(cls, one: Subscription, now: datetime) -> Self:
        """From a subscription."""
        kind = next(kind for kind in AlertKind if kind in one.chosen_kinds)
        alert = example_episode(kind, now)
        return cls(
            shown=subscription_answer(one),
            words=subscription_words(
                one,
                PLAIN,
                owner=one.filter.owner or "",
                mention=mentioned_id(one.mention) if one.mention else "",
            ),
            is_fixed=one.source is Source.CONFIG,
            example=(
                SEVERITY_TONES[alert.severity],
                alert_title(alert),
                alert_sentence(alert, now),
                would_come(one, alert.severity, now),
            ),
        )


class SubscriptionsQuery(LenientParameters):
    """The list has no parameters."""


class NewSubscriptionQuery(LenientParameters):
    """The form of a new subscription, perhaps for a channel that is known."""

    channel: Annotated[str, Field(max_length=40)] = ""


@dataclass(frozen=True)
class SubscriptionPages:
    """Shows subscriptions, and the form of one."""

    services: ApiServices

    async def load_list(self, call: PageCall[NoParameters, SubscriptionsQuery]) -> Content:
        """The subscriptions by channel."""
        now = self.services.clock()
        found = await self.services.subscriptions.all(by=call.actor)
        channels = [
            (channel, [SubscriptionRow.of(one, now) for one in of_channel])
            for channel, of_channel in _by_channel(found)
        ]
        values = {"channels": channels[:_MAX_CHANNELS], "count": len(found), "now": now}
        return Content(
            title="Subscriptions",
            sections=(
                Section(name="subscriptions", template="subscriptions/list.html", values=values),
            ),
        )

    async def load_new(self, call: PageCall[NoParameters, NewSubscriptionQuery]) -> Content:
        """The form of a new subscription."""
        return self._form("Subscribe to alerts", None, channel=call.query.channel)

    async def load_one(self, call: PageCall[SubscriptionPath, SubscriptionsQuery]) -> Content:
        """The form of a subscription."""
        found = await self.services.subscriptions.get(call.path.subscription_id, by=call.actor)
        return self._form("Change alerts", found, channel=found.channel_id)

    def _form(self, title: str, one: Subscription | None, *, channel: str) -> Content:
        shown = None if one is None else subscription_answer(one)
        pending = None if shown is None else shown.pending_for_seconds
        every = None if shown is None else shown.progress_every_seconds
        left_out = ", ".join(kind.value for kind in AlertKind if kind not in USUAL_KINDS)
        values: dict[str, Any] = {
            "title": title,
            "one": shown,
            "is_fixed": one is not None and one.source is Source.CONFIG,
            "channel": channel,
            "kinds": [(kind.value, KIND_RULES[kind].meaning) for kind in AlertKind],
            "chosen": set() if shown is None else {kind.value for kind in shown.kinds},
            "left_out": left_out,
            "workflows": [one.name for one in self.services.runs.workflows],
            "pending": _lengths(_PENDING, pending),
            "pending_now": pending,
            "progress": _lengths(_PROGRESS, every),
            "progress_now": every,
            "digests": [
                (DigestPeriod.DAILY.value, "Every day"),
                (DigestPeriod.WEEKLY.value, "Every Monday"),
            ],
            "severities": [("warning", "At least warning"), ("critical", "Only critical")],
        }
        return Content(
            title=title,
            sections=(Section(name="form", template="subscriptions/form.html", values=values),),
        )

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/subscriptions",
                name="subscriptions",
                nav="alerts",
                path_parameters=NoParameters,
                query=SubscriptionsQuery,
                load=self.load_list,
            ),
            Page(
                path="/subscriptions/new",
                name="new_subscription",
                nav="alerts",
                path_parameters=NoParameters,
                query=NewSubscriptionQuery,
                load=self.load_new,
                role=Role.RUNNER,
                action=Action.SUBSCRIBE,
            ),
            Page(
                path="/subscriptions/{subscription_id}",
                name="subscription",
                nav="alerts",
                path_parameters=SubscriptionPath,
                query=SubscriptionsQuery,
                load=self.load_one,
                role=Role.RUNNER,
                action=Action.SUBSCRIBE,
            ),
        ]


def would_come(one: Subscription, severity: Severity, now: datetime) -> str:
    """Whether an alert would be told now, in words.  Pure."""
    if one.is_muted(now) and one.muted_until is not None:
        until = PLAIN.date_time(one.muted_until)
        return f"The channel is muted until {until}: it would be told then, if it is still open."
    end = None if one.quiet_hours is None else one.quiet_hours.ends_at(now)
    if end is not None and severity < Severity.CRITICAL:
        return f"In its quiet hours now, it would come at {PLAIN.date_time(end)}."
    is_filtered = one.filter != AlertFilter() or one.pending_for is not None
    return f"It would come at once{' if it passes the filters' if is_filtered else ''}."


def _by_channel(found: Sequence[Subscription]) -> Iterator[tuple[str, list[Subscription]]]:
    ordered = sorted(found, key=lambda one: one.channel_id)
    for channel, of_channel in groupby(ordered, key=lambda one: one.channel_id):
        yield channel, list(of_channel)


def _lengths(ready: Sequence[int], present: int | None) -> list[tuple[int, str]]:
    """Choices of a length of time in seconds, the present one among them."""
    chosen = sorted({*ready, *([] if present is None else [present])})
    return [(seconds, duration(timedelta(seconds=seconds))) for seconds in chosen]
