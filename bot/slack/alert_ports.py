"""The services of alerts that the Slack side needs, as narrow protocols."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from core.domain.actor import Actor
from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.episode import Episode
from core.domain.alerts.message import AlertMessage
from core.domain.alerts.trends.readiness import TrendReadiness
from core.domain.runs.request import Place


class Alerts(Protocol):
    """Reads messages about alerts, and does what people do with their alerts."""

    async def message(self, group_id: str, /) -> AlertMessage | None:
        """What one message about alerts is drawn from; `None` if there is nothing to show."""
        ...

    async def urgent(self, group_ids: Collection[str], /) -> frozenset[str]:
        """Those of the messages in which something happened that is not shown yet."""
        ...

    async def trend_readiness(self, *, by: Actor) -> list[TrendReadiness]:
        """Whether each workflow has enough runs for its trends."""
        ...

    async def acknowledge(self, alert_ids: Collection[UUID], *, by: Actor) -> list[Episode]:
        """Take care of alerts; those that have ended stay as they are."""
        ...

    async def snooze(
        self, alert_ids: Collection[UUID], *, duration: timedelta, by: Actor
    ) -> list[Episode]:
        """Leave alerts untold for a time."""
        ...

    async def still_fine(self, alert_ids: Collection[UUID], *, by: Actor) -> list[Episode]:
        """Say that silent runs are fine."""
        ...


class Subscriptions(Protocol):
    """Keeps the subscriptions of channels to alerts."""

    def may_subscribe(self, *, by: Actor) -> bool:
        """Whether the person may subscribe channels."""
        ...

    async def require_subscribe(self, *, by: Actor) -> None:
        """Raise an error unless the person may subscribe channels."""
        ...

    async def of_channel(self, place: Place, *, by: Actor) -> list[Subscription]:
        """The subscriptions of a channel, oldest first."""
        ...

    async def get(self, subscription_id: UUID, *, by: Actor) -> Subscription:
        """One subscription."""
        ...

    async def subscribe(self, wanted: Subscription, *, by: Actor) -> Subscription:
        """Add a subscription; the same one again changes nothing."""
        ...

    async def edit(self, changed: Subscription, *, by: Actor) -> Subscription:
        """Change what a subscription wants."""
        ...

    async def mute(
        self, place: Place, *, duration: timedelta | None, by: Actor
    ) -> list[Subscription]:
        """Mute all subscriptions of a channel; without a duration, end that."""
        ...

    async def unsubscribe(self, subscription_ids: Collection[UUID], *, by: Actor) -> None:
        """End subscriptions."""
        ...

    async def end_of_channel(self, place: Place, *, reason: str) -> list[Subscription]:
        """End all subscriptions of a channel that is gone, and return them."""
        ...
