"""What happened to an alert, in order: the lines of its thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.alerts.episode import AlertState, Episode


class AlertEvent(StrEnum):
    """Something that happened to an alert."""

    FIRED = "fired"
    RAISED = "raised"
    LOWERED = "lowered"
    RECOVERING = "recovering"
    RETURNED = "returned"
    UNSTABLE = "unstable"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    STILL_FINE = "still_fine"
    SNOOZE_ENDED = "snooze_ended"
    RESOLVED = "resolved"


@dataclass(frozen=True, kw_only=True)
class AlertEventRecord:
    """One row of `alert_events`.

    Attributes:
        id: Rises in the order of the events; 0 until it is stored.
        by: The name of the person, for what a person did.
        data: For `RAISED` and `LOWERED` the severities `from` and `to`; for `SNOOZED` and
            `STILL_FINE` the time `until`; for `RESOLVED` the `resolution`.
    """

    alert_id: UUID
    at: datetime
    what: AlertEvent
    by: str | None = None
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    id: int = 0


def events_between(
    before: Episode | None, after: Episode, now: datetime
) -> Iterator[AlertEventRecord]:
    """What happened between two looks at an alert, without what people did.

    Args:
        before: The episode at the look before; `None` if it has just begun.
        after: The episode now.
        now: The present time.
    """

    def event(what: AlertEvent, **data: Any) -> AlertEventRecord:
        return AlertEventRecord(alert_id=after.id, at=now, what=what, data=data)

    if not after.is_told:
        return
    if before is None or not before.is_told:
        yield event(AlertEvent.FIRED, severity=int(after.severity))
        if after.is_unstable:
            yield event(AlertEvent.UNSTABLE)
    elif after.severity != before.severity:
        is_higher = after.severity > before.severity
        yield event(
            AlertEvent.RAISED if is_higher else AlertEvent.LOWERED,
            **{"from": int(before.severity), "to": int(after.severity)},
        )
    state_before = AlertState.PENDING if before is None else before.state
    if after.state is state_before:
        return
    if after.state is AlertState.RECOVERING:
        yield event(AlertEvent.RECOVERING)
    elif after.state is AlertState.FIRING and state_before is AlertState.RECOVERING:
        yield event(AlertEvent.RETURNED, occurrences=after.occurrences)
    elif after.state is AlertState.RESOLVED and after.resolution is not None:
        yield event(AlertEvent.RESOLVED, resolution=after.resolution.value)
