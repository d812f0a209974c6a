"""A run with everything a view needs to draw it, read in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from core.domain.actor import User
from core.domain.fleet.workers import Hold
from core.domain.kills.termination import Termination
from core.domain.runs.event import EventRecord
from core.domain.runs.run import CostSource, Run
from core.domain.runs.step import Step


@dataclass(frozen=True, kw_only=True)
class SessionTotal:
    """All legs of a session added up.  `cost_usd` is `None` if no leg's cost is known."""

    legs: int
    turns: int
    cost_usd: Decimal | None
    cost_source: CostSource | None


@dataclass(frozen=True, kw_only=True)
class RunSnapshot:
    """A run as it stood at one moment.

    Attributes:
        queue_position: 1 is next; `None` unless the run is pending.
        hold: The cap that keeps it waiting, while one does.
        has_available_worker: Whether some worker takes jobs; only looked at while the run is
            pending.
        leg: 1-based place among the runs of its session.
        kill_machine: The machine of an open kill, for whoever must look there.
        notices: Events worth a line to a person (retries, usage limits, requeues), oldest
            first.
    """

    run: Run
    owner: User | None = None
    parent_run_id: str | None = None
    steps: tuple[Step, ...] = ()
    termination: Termination | None = None
    total: SessionTotal | None = None
    queue_position: int | None = None
    hold: Hold | None = None
    has_available_worker: bool = True
    leg: int = 1
    kill_machine: str | None = None
    notices: tuple[EventRecord, ...] = ()


class SlackMessageState(StrEnum):
    """What is known of a message in Slack.

    `SENDING` is written before the call: after a crash or a lost answer the message may or
    may not be there, and is looked for before it is sent again.
    """

    SENDING = "sending"
    SHOWN = "shown"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class SlackMessage:
    """One row of `slack_messages`: what is shown where, at which version.

    Attributes:
        thread_key: `run_id` of the run that heads the thread.
        slot: Which message of the thread this is: `card`, `result:<run_id>`, …
        content_hash: Of the message as last sent; equal content is not sent again.
        version: The run's version that was drawn.
    """

    id: UUID
    thread_key: str
    slot: str
    channel_id: str
    state: SlackMessageState
    updated_at: datetime
    message_ts: str | None = None
    thread_ts: str | None = None
    version: int = 0
    content_hash: str | None = None
    attempts: int = 0
    error: str | None = None


class UncertainWriteKind(StrEnum):
    """What Slack may have done late."""

    POSTED_TWICE = "posted_twice"
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True, kw_only=True)
class UncertainWrite:
    """A message that is to be looked at once more.

    Attributes:
        due_at: When Slack has had its time.
    """

    thread_key: str
    slot: str
    kind: UncertainWriteKind
    due_at: datetime


@dataclass(frozen=True, kw_only=True)
class Thread:
    """Everything one Slack thread is drawn from: its legs, oldest first, and what is shown."""

    thread_key: str
    team_id: str
    channel_id: str
    legs: tuple[RunSnapshot, ...]
    messages: dict[str, SlackMessage] = field(default_factory=dict)
