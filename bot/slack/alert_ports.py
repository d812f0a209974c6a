"""What the Slack side needs of alerts, as a narrow protocol beside those of `ports`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from core.domain.actor import Actor
from core.domain.alerts.episode import Episode
from core.domain.alerts.message import AlertMessage


class Alerts(Protocol):
    """Reads messages about alerts, and does what people do with their alerts."""

    async def message(self, group_id: str, /) -> AlertMessage | None:
        """What one message about alerts is drawn from; `None` if there is nothing to show."""
        ...

    async def urgent(self, group_ids: Collection[str], /) -> frozenset[str]:
        """Those of the messages in which something happened that is not shown yet."""
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
