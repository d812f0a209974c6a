"""Snapshots: a run or a thread with everything that a view needs to draw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from core.domain.actor import User
from core.domain.alerts.posts.progress import ProgressPost
from core.domain.fleet.workers import Hold
from core.domain.kills.termination import Termination
from core.domain.runs.activity.awaited import Awaited
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.event import EventRecord
from core.domain.runs.run import CostSource, Run
from core.domain.runs.step import Step
from core.domain.sessions.ledger import LedgerSum


@dataclass(frozen=True, kw_only=True)
class SessionTotal:
    """The totals of all runs of a session.

    Attributes:
        legs: The number of runs.
        spent: What their agent processes cost together.
    """

    legs: int
    turns: int
    spent: LedgerSum = field(default_factory=LedgerSum)

    @property
    def cost_usd(self) -> Decimal | None:
        """What is known of the cost, in US dollars; `None` if nothing is."""
        return self.spent.known_usd

    @property
    def cost_source(self) -> CostSource | None:
        """The source of what is known: reported only if all of it is."""
        return self.spent.known_source


@dataclass(frozen=True, kw_only=True)
class CardPlace:
    """The message in Slack that heads the thread of a run."""

    channel_id: str
    message_ts: str


@dataclass(frozen=True, kw_only=True)
class RunLink:
    """Another run, with the place of its thread in Slack if it has one."""

    run_id: str
    card: CardPlace | None = None


@dataclass(frozen=True, kw_only=True)
class RunSnapshot:
    """A run at one time, read in one transaction.

    Attributes:
        parent_run_id: `run_id` of the run that this one continues.
        total: The totals of the session.
        queue_position: Its position among the waiting runs, 1 is next; `None` if it is not pending.
        hold: The cap that delays the run; `None` if there is none.
        has_available_worker: Whether any worker accepts jobs; only read while the run is pending.
        leg: Its number among the runs of its session, from 1; in lists among those that work on
            the same task.
        about: The task that it works on, if its own `task_input` only continues that; its first
            words in lists.
        spent: What its agent processes cost, one by one added up; only read for a single run.
        card: Where its thread is in Slack; `None` if it has none there, or if it was not read.
        kill_machine: The machine of an unconfirmed kill, where a person can look for processes
            that survived it.
        notices: Events that a person should know of (retries, usage limits, requeues), oldest
            first.
        restarted_from: The run to which the point belongs from which it was restarted; `None` for
            any other run.
        restarts: The runs that restarted it, oldest first; only read for threads and single runs.
        progress: Its progress as it was last posted; `None` if it posts none, or if it was not
            read.
        checkpoints: The checkpoints that it took, oldest first; only read for a single run.
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
    about: str | None = None
    spent: LedgerSum | None = None
    card: CardPlace | None = None
    kill_machine: str | None = None
    notices: tuple[EventRecord, ...] = ()
    restarted_from: RunLink | None = None
    restarts: tuple[RunLink, ...] = ()
    progress: ProgressPost | None = None
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def awaited(self) -> Awaited | None:
        """What the run waits for, and since when nothing was heard; `None` if it does not run."""
        return Awaited.of_run(self.run)


@dataclass(frozen=True, kw_only=True)
class Thread:
    """The subject of one Slack thread: its legs, oldest first."""

    thread_key: str
    team_id: str
    channel_id: str
    legs: tuple[RunSnapshot, ...]


@dataclass(frozen=True, kw_only=True)
class PersonalRuns:
    """The subject of a person's Home tab: their own runs and the live runs, newest first."""

    mine: tuple[RunSnapshot, ...]
    live: tuple[RunSnapshot, ...]
