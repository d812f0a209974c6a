"""Snapshots: a run or a thread with everything that a view needs to draw it."""

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
    """The totals of all runs of a session.

    Attributes:
        legs: The number of runs.
        cost_usd: The sum of the known costs in US dollars; `None` if none is known.
    """

    legs: int
    turns: int
    cost_usd: Decimal | None
    cost_source: CostSource | None


@dataclass(frozen=True, kw_only=True)
class RunSnapshot:
    """A run at one moment, read in one transaction.

    Attributes:
        parent_run_id: `run_id` of the run that this one continues.
        total: The totals of the session.
        queue_position: Its position among the waiting runs, 1 is next; `None` if it is not pending.
        hold: The cap that holds it, while one does.
        has_available_worker: Whether some worker takes jobs; only read while the run is pending.
        leg: Its number among the runs of its session, from 1.
        kill_machine: The machine on which a kill in progress takes place, so that a person can
            look there.
        notices: Events that a person should know of (retries, usage limits, requeues), oldest
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
    """The known state of a message in Slack.

    `SENDING` is stored before the call.  After a crash or a lost answer it is unknown whether the
    message exists, and it is searched for before it is sent again.
    """

    SENDING = "sending"
    SHOWN = "shown"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class SlackMessage:
    """One row of `slack_messages`: a message in Slack and the version that it shows.

    Attributes:
        thread_key: `run_id` of the run whose card heads the thread.
        slot: The message's role in the thread: `card`, `result:<run_id>`, …
        version: The version of the run that was drawn.
        content_hash: The hash of the content last sent; the same content is not sent again.
        attempts: How many times it had to be posted again; a deleted card is, but only once.
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
    """What Slack may have done after its answer was lost."""

    POSTED_TWICE = "posted_twice"
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True, kw_only=True)
class UncertainWrite:
    """A message to check again after a call to Slack with an unknown result.

    Attributes:
        due_at: When to check; Slack has certainly finished the call by then.
    """

    thread_key: str
    slot: str
    kind: UncertainWriteKind
    due_at: datetime


@dataclass(frozen=True, kw_only=True)
class Thread:
    """Everything from which a Slack thread is drawn.

    Attributes:
        legs: The runs of the session, oldest first.
        messages: The messages that are shown, by slot.
    """

    thread_key: str
    team_id: str
    channel_id: str
    legs: tuple[RunSnapshot, ...]
    messages: dict[str, SlackMessage] = field(default_factory=dict)
