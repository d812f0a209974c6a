"""Routes of subscriptions: which alerts channels are told of, and how."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.api.alerts.answers import (
    EndedSubscription,
    SubscriptionAnswer,
    SubscriptionList,
    subscription_answer,
)
from bot.web.api.alerts.bodies import (
    ChannelId,
    MuteBody,
    NewSubscriptionBody,
    SubscriptionBody,
    new_subscription,
    with_wishes,
)
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.alerts.channels.subscription import Subscription
from core.domain.runs.request import Place

_TAG = "Subscriptions"


class SubscriptionPath(Parameters):
    """The subscription of a route."""

    subscription_id: UUID


class SubscriptionListQuery(Parameters):
    """Which subscriptions to list."""

    channel: ChannelId | None = Field(default=None, description="Only those of this channel.")


class Subscriptions(Protocol):
    """Keeps the subscriptions of channels; see `SubscriptionService`."""

    async def all(self, *, by: Actor) -> list[Subscription]:
        """All subscriptions."""
        ...

    async def get(self, subscription_id: UUID, *, by: Actor) -> Subscription:
        """One subscription."""
        ...

    async def subscribe(self, wanted: Subscription, *, by: Actor) -> Subscription:
        """Add a subscription."""
        ...

    async def edit(self, changed: Subscription, *, by: Actor) -> Subscription:
        """Change what a subscription wants."""
        ...

    async def mute(
        self, place: Place, *, duration: timedelta | None, by: Actor
    ) -> list[Subscription]:
        """Mute all subscriptions of a channel for a time."""
        ...

    async def unsubscribe(self, subscription_ids: Collection[UUID], *, by: Actor) -> None:
        """End subscriptions."""
        ...


class Channels(Protocol):
    """Admits to channels; see `SlackService`."""

    async def admitted_place(self, channel_id: str, action: Action, *, by: Actor) -> Place:
        """A channel on which an actor may act, as the place of messages."""
        ...


@dataclass(frozen=True)
class SubscriptionRoutes:
    """Answers and changes subscriptions."""

    subscriptions: Subscriptions
    channels: Channels

    async def list_subscriptions(
        self, call: Call[NoParameters, SubscriptionListQuery, NoParameters]
    ) -> SubscriptionList:
        """The subscriptions of all channels, or of one."""
        wanted = call.query.channel
        found = await self.subscriptions.all(by=call.actor)
        return SubscriptionList(
            subscriptions=[
                subscription_answer(one)
                for one in found
                if wanted is None or one.channel_id == wanted
            ]
        )

    async def get_subscription(
        self, call: Call[SubscriptionPath, NoParameters, NoParameters]
    ) -> SubscriptionAnswer:
        """One subscription."""
        found = await self.subscriptions.get(call.path.subscription_id, by=call.actor)
        return subscription_answer(found)

    async def subscribe(
        self, call: Call[NoParameters, NoParameters, NewSubscriptionBody]
    ) -> SubscriptionAnswer:
        """Subscribe a channel."""
        place = await self._admitted(call.body.channel, call.actor)
        wanted = new_subscription(call.body, place)
        return subscription_answer(await self.subscriptions.subscribe(wanted, by=call.actor))

    async def change(
        self, call: Call[SubscriptionPath, NoParameters, SubscriptionBody]
    ) -> SubscriptionAnswer:
        """Change what a subscription wants."""
        present = await self._changeable(call.path.subscription_id, call.actor)
        changed = await self.subscriptions.edit(with_wishes(present, call.body), by=call.actor)
        return subscription_answer(changed)

    async def unsubscribe(
        self, call: Call[SubscriptionPath, NoParameters, NoParameters]
    ) -> EndedSubscription:
        """End a subscription."""
        present = await self._changeable(call.path.subscription_id, call.actor)
        await self.subscriptions.unsubscribe([present.id], by=call.actor)
        return EndedSubscription(
            subscription_id=present.id,
            channel=present.channel_id,
            message="The channel is told no more of what this subscription wanted.",
        )

    async def mute(self, call: Call[NoParameters, NoParameters, MuteBody]) -> SubscriptionList:
        """Mute a channel for a time."""
        place = await self._admitted(call.body.channel, call.actor)
        found = await self.subscriptions.mute(place, duration=call.body.duration, by=call.actor)
        return SubscriptionList(subscriptions=[subscription_answer(one) for one in found])

    async def _admitted(self, channel_id: str, actor: Actor) -> Place:
        return await self.channels.admitted_place(channel_id, Action.SUBSCRIBE, by=actor)

    async def _changeable(self, subscription_id: UUID, actor: Actor) -> Subscription:
        """A subscription whose channel the actor may act on."""
        present = await self.subscriptions.get(subscription_id, by=actor)
        await self._admitted(present.channel_id, actor)
        return present

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        one = "/subscriptions/{subscription_id}"
        return [
            replace(
                _route("/subscriptions", "list_subscriptions", self.list_subscriptions),
                summary="What channels are told of, and how",
                query=SubscriptionListQuery,
                answer=SubscriptionList,
            ),
            replace(
                _route("/subscriptions", "subscribe", self.subscribe, Method.POST),
                summary="Subscribe a channel to alerts",
                body=NewSubscriptionBody,
                description="The same again changes nothing, and answers the one that there is. "
                f"{_CHANNEL_WORDS}",
            ),
            replace(
                _route("/subscriptions/mute", "mute_channel", self.mute, Method.POST),
                summary="Mute a channel for 1 minute to 30 days, or end that",
                body=MuteBody,
                answer=SubscriptionList,
                description=f"Answers all subscriptions of the channel. {_CHANNEL_WORDS}",
            ),
            replace(
                _route(one, "get_subscription", self.get_subscription),
                summary="A subscription",
                path_parameters=SubscriptionPath,
            ),
            replace(
                _route(one, "replace_subscription", self.change, Method.PUT),
                summary="Change what a subscription wants",
                path_parameters=SubscriptionPath,
                body=SubscriptionBody,
                description="What is left out gets its default; the channel stays. One that is "
                "kept in the configuration can only be changed there.",
            ),
            replace(
                _route(one, "unsubscribe", self.unsubscribe, Method.DELETE),
                summary="End a subscription",
                path_parameters=SubscriptionPath,
                answer=EndedSubscription,
                description="One that is kept in the configuration can only be ended there.",
            ),
        ]


_CHANNEL_WORDS = (
    "Signalbox must be in the channel; a token that acts as a member of the workspace may act on "
    "the member's own channels only."
)


def _route(path: str, name: str, handler: Any, method: Method = Method.GET) -> AnyRoute:
    """A route that answers a subscription, with the rights for its method."""
    reads = method is Method.GET
    answer: type[Answer] = SubscriptionAnswer
    return Route(
        method=method,
        path=path,
        name=name,
        summary="",
        tag=_TAG,
        role=Role.VIEWER if reads else Role.RUNNER,
        action=Action.VIEW if reads else Action.SUBSCRIBE,
        path_parameters=NoParameters,
        query=NoParameters,
        body=NoParameters,
        answer=answer,
        handler=handler,
    )
