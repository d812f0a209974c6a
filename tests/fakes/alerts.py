"""No alerts, for the tests of everything else."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from core.domain.actor import Actor
from core.domain.alerts.episode import Episode
from core.domain.alerts.errors import AlertNotFound
from core.domain.alerts.message import AlertMessage
from core.domain.alerts.trends.readiness import TrendReadiness


class NoAlerts:
    """A service that knows no alert."""

    async def message(self, _: str, /) -> AlertMessage | None:
        return None

    async def urgent(self, _: Collection[str], /) -> frozenset[str]:
        return frozenset()

    async def trend_readiness(self, *, by: Actor) -> list[TrendReadiness]:
        return []

    async def acknowledge(self, alert_ids: Collection[UUID], *, by: Actor) -> list[Episode]:
        raise AlertNotFound(f"{by.name}: {len(alert_ids)}")

    async def snooze(
        self, alert_ids: Collection[UUID], *, duration: timedelta, by: Actor
    ) -> list[Episode]:
        raise AlertNotFound(f"{by.name}: {len(alert_ids)} for {duration}")

    async def still_fine(self, alert_ids: Collection[UUID], *, by: Actor) -> list[Episode]:
        raise AlertNotFound(f"{by.name}: {len(alert_ids)}")
