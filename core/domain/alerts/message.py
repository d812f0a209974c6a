"""What a message about alerts is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from core.domain.alerts.channels.delivery import AlertGroup
from core.domain.alerts.episode import Episode
from core.domain.alerts.history import AlertEventRecord
from core.domain.runs.snapshot import RunSnapshot


@dataclass(frozen=True, kw_only=True)
class AlertMessage:
    """The subject of one message about alerts, read in one transaction.

    Attributes:
        alerts: Its alerts, in the order in which they fired; at least one.
        events: What happened to each alert, oldest first, by the id of the alert.
        runs: The runs that alerts are about, by the ids of their rows, with their places in Slack.
        told_at: When each alert came into the message, by its id: after `group.opened_at` for one
            that joined it later.
        broadcasts: Whether the end of an alert is shown in the channel too.
        time_zone: That of the channel.
    """

    group: AlertGroup
    alerts: tuple[Episode, ...]
    events: Mapping[UUID, Sequence[AlertEventRecord]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    runs: Mapping[UUID, RunSnapshot] = field(default_factory=lambda: MappingProxyType({}))
    told_at: Mapping[UUID, datetime] = field(default_factory=lambda: MappingProxyType({}))
    broadcasts: bool = False
    time_zone: str = "UTC"

    @property
    def is_open(self) -> bool:
        """Whether any of its alerts can change still."""
        return any(alert.is_open for alert in self.alerts)
