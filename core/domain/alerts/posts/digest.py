"""Digests: what happened in a day or a week, as a channel gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from core.domain.alerts.channels.subscription import DigestPeriod


@dataclass(frozen=True, kw_only=True)
class Digest:
    """One row of `alert_digests`.

    Attributes:
        since: The beginning of what it tells, inclusive.
        until: The end of what it tells, exclusive; it was due then.
        figures: `DigestFigures` at that time, as JSON; later numbers do not change a digest.
    """

    id: UUID
    subscription_id: UUID
    team_id: str
    channel_id: str
    period: DigestPeriod
    since: datetime
    until: datetime
    figures: Mapping[str, Any]
