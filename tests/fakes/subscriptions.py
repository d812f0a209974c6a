"""Subscriptions of channels in memory, with the rules of the real service that Slack relies on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from core.domain.actor import Action, Actor, Role
from core.domain.alerts.channels.subscription import (
    Source,
    Subscription,
    SubscriptionFixed,
    SubscriptionNotFound,
)
from core.domain.alerts.message import AlertMessage
from core.domain.runs.request import Place
from core.domain.workflow import UnknownWorkflow
from core.services.context import NotAllowed


@dataclass
class FakeSubscriptions:
    """Subscriptions by their ids, oldest first."""

    kept: dict[UUID, Subscription] = field(default_factory=dict)
    workflows: frozenset[str] = frozenset({"implement", "review"})
    least_role: Role = Role.RUNNER

    async def message(self, group_id: str) -> AlertMessage | None:
        return None

    def may_subscribe(self, *, by: Actor) -> bool:
        return by.role >= self.least_role

    async def require_subscribe(self, *, by: Actor) -> None:
        if not self.may_subscribe(by=by):
            raise NotAllowed(by, Action.SUBSCRIBE, None, needed=self.least_role)

    async def of_channel(self, place: Place, *, by: Actor) -> list[Subscription]:
        return [one for one in self.kept.values() if one.channel_id == place.channel_id]

    async def get(self, subscription_id: UUID, *, by: Actor) -> Subscription:
        if subscription_id not in self.kept:
            raise SubscriptionNotFound(str(subscription_id))
        return self.kept[subscription_id]

    async def subscribe(self, wanted: Subscription, *, by: Actor) -> Subscription:
        await self.require_subscribe(by=by)
        self._check(wanted)
        for known in self.kept.values():
            if replace(wanted, **_unwished(known)) == known:
                return known
        new = replace(
            wanted,
            id=uuid4(),
            created_at=datetime.now(UTC),
            created_by=by.name,
            created_by_id=by.user_id,
        )
        self.kept[new.id] = new
        return new

    async def edit(self, changed: Subscription, *, by: Actor) -> Subscription:
        await self.require_subscribe(by=by)
        self._check(changed)
        present = await self.get(changed.id, by=by)
        if present.source is Source.CONFIG:
            raise SubscriptionFixed(changed.id)
        self.kept[changed.id] = changed
        return changed

    async def mute(
        self, place: Place, *, duration: timedelta | None, by: Actor
    ) -> list[Subscription]:
        await self.require_subscribe(by=by)
        present = await self.of_channel(place, by=by)
        if not present:
            raise SubscriptionNotFound(place.channel_id)
        until = None if duration is None else datetime.now(UTC) + duration
        muted = [replace(one, muted_until=until, muted_by=by.name) for one in present]
        self.kept |= {one.id: one for one in muted}
        return muted

    async def unsubscribe(self, subscription_ids: Collection[UUID], *, by: Actor) -> None:
        await self.require_subscribe(by=by)
        for subscription_id in subscription_ids:
            if (await self.get(subscription_id, by=by)).source is Source.CONFIG:
                raise SubscriptionFixed(subscription_id)
            del self.kept[subscription_id]

    async def end_of_channel(self, place: Place, *, reason: str) -> list[Subscription]:
        ended = [one for one in self.kept.values() if one.channel_id == place.channel_id]
        for one in ended:
            del self.kept[one.id]
        return ended

    def _check(self, wanted: Subscription) -> None:
        workflow = wanted.filter.workflow
        if workflow is not None and workflow not in self.workflows:
            raise UnknownWorkflow(workflow, tuple(sorted(self.workflows)))


def _unwished(known: Subscription) -> dict[str, Any]:
    """What a subscription has beside what it wants."""
    own = ("id", "source", "created_at", "created_by", "created_by_id", "muted_until", "muted_by")
    return {name: getattr(known, name) for name in own}
