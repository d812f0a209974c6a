"""What the detectors look at: the state of runs, workers, the queue and Slack at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from core.domain.alerts.condition import Scope
from core.domain.fleet.workers import WorkerState
from core.domain.runs.activity.awaited import Awaited
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.run import CostSource, RunStatus, StopReason, WaitingOn


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """A run that has not ended.

    Attributes:
        task: What it is about, for texts.
        waiting_since: Since when it waits for `waiting_on`.
        awaited: What it waits for; `None` if no worker executes it.
        is_held: Whether a cap keeps it in the queue.
        retry_at: While it waits for its next attempt after one that failed: when that may begin.
        node: The worker's node that executes it.
    """

    id: UUID
    run_id: str
    workflow: str
    task: str
    status: RunStatus
    scope: Scope
    created_at: datetime
    started_at: datetime | None = None
    waiting_on: WaitingOn | None = None
    waiting_since: datetime | None = None
    awaited: Awaited | None = None
    is_held: bool = False
    retry_at: datetime | None = None
    is_being_killed: bool = False
    cost_usd: Decimal | None = None
    budget_usd: Decimal | None = None
    turns: int = 0
    max_turns: int | None = None
    node: str | None = None
    parent_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class EndedRunFacts:
    """A run that has just ended, each given once.

    Attributes:
        cause: The class of its failure, if it failed and that is known.
        subject: The name of what failed: a model, a repository, a branch.
        parent_id: The row of the run that it continues.
    """

    id: UUID
    run_id: str
    workflow: str
    task: str
    status: RunStatus
    scope: Scope
    ended_at: datetime
    stop_reason: StopReason | None = None
    reasons: tuple[OutcomeReason, ...] = ()
    failed_tests: int | None = None
    cause: str | None = None
    subject: str | None = None
    duration: timedelta | None = None
    cost_usd: Decimal | None = None
    cost_source: CostSource | None = None
    budget_usd: Decimal | None = None
    turns: int = 0
    max_turns: int | None = None
    parent_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerFacts:
    """A worker's node, by its newest process.

    Attributes:
        live_runs: The runs that it executes, according to the rows.
        stopped_at: When it stopped, or was declared lost.
        is_lost: Whether it stopped without saying so.
    """

    node: str
    machine: str
    state: WorkerState
    heartbeat_at: datetime
    live_runs: int = 0
    stopped_at: datetime | None = None
    is_lost: bool = False


@dataclass(frozen=True, kw_only=True)
class UnconfirmedKill:
    """A kill of which the proof failed."""

    run: LiveRun | EndedRunFacts
    requested_at: datetime
    survivors: int
    machine: str | None = None


@dataclass(frozen=True, kw_only=True)
class SlackFacts:
    """What Slack does not show as it should.

    Attributes:
        outdated: Messages that are behind.
        oldest: Since when the longest outdated one is behind; `None` if none is.
        refused: Messages that Slack refused for good within a day.
    """

    outdated: int = 0
    oldest: datetime | None = None
    refused: int = 0
