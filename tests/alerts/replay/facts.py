"""What happens in a simulated week, as plain values: the only input of both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

BEGIN = datetime(2026, 10, 19, tzinfo=UTC)  # A Monday; the clocks of Europe change on its Sunday.
TICK = timedelta(seconds=10)
TEAM = "T1"


class What(StrEnum):
    """The kinds of events."""

    WORKER_UP = "worker_up"
    WORKER_DRAINS = "worker_drains"
    WORKER_STOPS = "worker_stops"
    WORKER_DIES = "worker_dies"
    WORKER_DECLARED_LOST = "worker_declared_lost"
    CREATED = "created"
    HELD = "held"
    RELEASED = "released"
    STARTED = "started"
    HEARD = "heard"
    OUTPUT = "output"
    WAITS = "waits"
    COST = "cost"
    REQUEUED = "requeued"
    KILL_REQUESTED = "kill_requested"
    KILL_UNCONFIRMED = "kill_unconfirmed"
    KILL_CONFIRMED = "kill_confirmed"
    ENDED = "ended"
    MEASURED = "measured"
    SLACK_BEHIND = "slack_behind"
    SLACK_RIGHT = "slack_right"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    MUTED = "muted"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happens.

    Attributes:
        run: The number of the run that it is about.
        name: The node, the channel, or the name of the subscription that it is about.
        data: What else belongs to it; see `generator`.
    """

    at: datetime
    what: What
    run: int | None = None
    name: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PastDay:
    """The totals of one workflow on one day before the week."""

    day: date
    workflow: str
    judged: int
    failures: int
    cost_cents: int


@dataclass(frozen=True, kw_only=True)
class Week:
    """Everything that happens, and when it is looked at.

    Attributes:
        events: In the order of their times, of which no two are equal, and none is a tick.
        ticks: The times of the evaluations, in order.
    """

    events: Sequence[Event]
    past: Sequence[PastDay]
    ticks: Sequence[datetime]


def run_id_of(number: int) -> str:
    """The id of a run in the database."""
    return f"run_{number:012x}"


def tick_after(moment: datetime) -> datetime:
    """The first tick after a time."""
    return BEGIN + (moment - BEGIN) // TICK * TICK + TICK
