"""Subscriptions to show: a plain one, one with every wish, one of the configuration."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import AlertFilter, DigestPeriod, Source, Subscription
from core.domain.alerts.kinds import AlertKind, Severity
from tests.unit.view_helpers import NOW


def make_subscription(**changes: Any) -> Subscription:
    """A subscription to the usual alerts, made by Ada two days ago."""
    values: dict[str, Any] = {
        "id": UUID(int=4),
        "team_id": "T0ACME",
        "channel_id": "C0BUILDS",
        "source": Source.SLACK,
        "created_at": NOW - timedelta(days=2),
        "created_by": "Ada Lovelace",
    }
    return Subscription(**(values | changes))


EVERYTHING = make_subscription(
    id=UUID(int=5),
    kinds=frozenset({AlertKind.FAILED, AlertKind.STALLED}),
    filter=AlertFilter(
        workflow="implement",
        repository="acme/api",
        owner="U0ADA",
        least_severity=Severity.WARNING,
        least_cost_usd=Decimal("2.50"),
    ),
    pending_for=timedelta(minutes=15),
    mention="<!subteam^S0614TZR7>",
    broadcasts=True,
    time_zone="Europe/Berlin",
    quiet_hours=QuietHours(start=time(22), end=time(7), time_zone="Europe/Berlin"),
    digest=DigestPeriod.WEEKLY,
    digest_hour=8,
    progress_every=timedelta(minutes=10),
)
CONFIGURED = make_subscription(id=UUID(int=6), source=Source.CONFIG, created_by=None)
