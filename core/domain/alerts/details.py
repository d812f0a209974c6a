"""One alert with everything that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.domain.alerts.channels.delivery import Handling
from core.domain.alerts.episode import Episode
from core.domain.alerts.history import AlertEventRecord


@dataclass(frozen=True, kw_only=True)
class ToldChannel:
    """What became of an alert in one channel.

    Attributes:
        subscription_id: The subscription that wanted it, which may have ended since.
        decided_at: When it was decided what becomes of it.
        held_until: The end of the quiet hours that hold it back; `None` unless it is `HELD`.
    """

    team_id: str
    channel_id: str
    handling: Handling
    subscription_id: UUID | None
    decided_at: datetime
    held_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AlertDetails:
    """One alert, read in one transaction.

    Attributes:
        events: What happened to it, oldest first.
        channels: The channels that wanted it, in the order in which that was decided.
    """

    episode: Episode
    events: Sequence[AlertEventRecord]
    channels: Sequence[ToldChannel]
