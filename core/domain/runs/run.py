"""A run: one leg of execution of a workflow, its statuses and why it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.errors import Conflict, NotFound
from core.domain.fleet.workers import QueueReason
from core.domain.workflow import OnWorkerLost

RUN_ID_PREFIX = "run_"


class RunStatus(StrEnum):
    """The five statuses; everything finer is a column."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows this status."""
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = MappingProxyType(
    {
        RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.KILLED}),
        # Back to pending is a requeue: the worker was lost, or a drain handed the run over.
        RunStatus.RUNNING: frozenset(
            {RunStatus.PENDING, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.KILLED}
        ),
        RunStatus.COMPLETED: frozenset(),
        RunStatus.FAILED: frozenset(),
        RunStatus.KILLED: frozenset(),
    }
)

LIVE_STATUSES = frozenset(status for status in RunStatus if TRANSITIONS[status])


def sources_of(to: RunStatus) -> frozenset[RunStatus]:
    """The statuses from which `to` may be reached."""
    return frozenset(status for status, targets in TRANSITIONS.items() if to in targets)


class StopReason(StrEnum):
    """Why a run ended."""

    SUCCESS = "success"
    MAX_TURNS = "max_turns"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    KILLED = "killed"
    USAGE_LIMIT = "usage_limit"
    API_ERROR = "api_error"
    AGENT_ERROR = "agent_error"
    NO_RESULT = "no_result"
    WORKER_LOST = "worker_lost"
    WORKSPACE_ERROR = "workspace_error"
    SETUP_ERROR = "setup_error"

    @property
    def final_status(self) -> RunStatus:
        """The status a run gets when it stops for this reason."""
        if self is StopReason.SUCCESS:
            return RunStatus.COMPLETED
        if self is StopReason.KILLED:
            return RunStatus.KILLED
        return RunStatus.FAILED


# Unfinished for a reason more turns, money, time or another machine can mend.
CONTINUABLE_REASONS = frozenset(
    {
        StopReason.MAX_TURNS,
        StopReason.BUDGET,
        StopReason.TIMEOUT,
        StopReason.KILLED,
        StopReason.USAGE_LIMIT,
        StopReason.WORKER_LOST,
        StopReason.API_ERROR,
        StopReason.NO_RESULT,
        StopReason.AGENT_ERROR,
    }
)
# It could not be made ready; what was wrong is to be mended first.
SETUP_FAILURES = frozenset({StopReason.WORKSPACE_ERROR, StopReason.SETUP_ERROR})


class WaitingOn(StrEnum):
    """What a running run waits for, when it does."""

    APPROVAL = "approval"
    QUESTION = "question"
    BUDGET = "budget"
    USAGE_LIMIT = "usage_limit"


class CostSource(StrEnum):
    """Where a cost comes from: the agent's own report, or usage times a price table."""

    REPORTED = "reported"
    ESTIMATED = "estimated"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one leg.  `input_tokens` leaves the cache's tokens out, as the API does."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input plus output, without the cache's (reported apart, being priced apart)."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_creation_tokens=self.cache_creation_tokens + other.cache_creation_tokens,
        )

    def minus(self, other: Usage) -> Usage:
        """What is more here than there, kind by kind; never less than nothing."""
        return Usage(
            input_tokens=max(self.input_tokens - other.input_tokens, 0),
            output_tokens=max(self.output_tokens - other.output_tokens, 0),
            cache_read_tokens=max(self.cache_read_tokens - other.cache_read_tokens, 0),
            cache_creation_tokens=max(self.cache_creation_tokens - other.cache_creation_tokens, 0),
        )


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """Lines of one file that a run added and removed; both `None` for a binary file."""

    path: str
    added: int | None
    removed: int | None
    committed: bool = True


@dataclass(frozen=True, kw_only=True)
class CommitInfo:
    """A commit the run made."""

    sha: str
    subject: str


@dataclass(frozen=True, kw_only=True)
class DiffStat:
    """What a run changed between its first commit and its work tree at the end."""

    files: tuple[FileChange, ...] = ()
    commits: tuple[CommitInfo, ...] = ()

    @property
    def added_lines(self) -> int:
        """Lines added over all text files."""
        return sum(change.added or 0 for change in self.files)

    @property
    def removed_lines(self) -> int:
        """Lines removed over all text files."""
        return sum(change.removed or 0 for change in self.files)

    @property
    def has_uncommitted(self) -> bool:
        """Whether some change is in the work tree only."""
        return any(not change.committed for change in self.files)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row of `workflow_runs`.

    Attributes:
        run_id: `run_` and 12 hex digits; what people type.
        attempt: Counts executions of this row (a requeue adds one); every write of a
            worker names it, so that a lost worker's late writes do not land.
        version: Grows with each change that can be seen; readers compare it.
        cost_usd: Cost of this leg in US dollars, `None` while unknown (never 0 for unknown).
        thread_key: `run_id` of the run whose card heads the Slack thread; the legs of a
            session share it.
        request_key: The outside's own id of the request, unique: a redelivery starts nothing.
        job_id: The engine's job for the present attempt; `None` while the run waits for
            its turn.
        queue_reason: The cap that keeps it waiting, while one does.
    """

    id: UUID
    run_id: str
    workflow_name: str
    task_input: str
    status: RunStatus
    created_at: datetime
    updated_at: datetime
    session_id: UUID
    agent_type: str | None = None
    ai_model: str | None = None
    session_name: str | None = None
    git_repo: str | None = None
    git_branch: str | None = None
    initial_commit_hash: str | None = None
    final_commit_hash: str | None = None
    diff: DiffStat | None = None
    result: str | None = None
    error_message: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    workspace_id: str | None = None
    workspace_persistent: bool = True
    workspace_cleaned_up: bool = False
    workspace_path: str | None = None
    cost_usd: Decimal | None = None
    cost_source: CostSource | None = None
    usage: Usage = field(default_factory=Usage)
    user_id: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stop_reason: StopReason | None = None
    waiting_on: WaitingOn | None = None
    turns: int = 0
    max_turns: int | None = None
    budget_usd: Decimal | None = None
    timeout: timedelta | None = None
    tool_calls: int = 0
    tools_used: tuple[str, ...] = ()
    parent_run_id: UUID | None = None
    attempt: int = 1
    priority: int = 0
    kill_requested_at: datetime | None = None
    last_activity_at: datetime | None = None
    last_activity: str | None = None
    worker_id: str | None = None
    version: int = 1
    slack_team_id: str | None = None
    slack_channel_id: str | None = None
    thread_key: str | None = None
    request_key: str | None = None
    job_id: int | None = None
    on_worker_lost: OnWorkerLost = OnWorkerLost.RESUME
    queue_reason: QueueReason | None = None

    @property
    def is_live(self) -> bool:
        """Whether the run has not ended."""
        return self.status in LIVE_STATUSES

    @property
    def can_continue(self) -> bool:
        """Whether the run stopped unfinished and its session can go on.

        One that could not be made ready can, if there is something to go on with.
        """
        has_begun = self.parent_run_id is not None or self.turns > 0
        return self.stop_reason in CONTINUABLE_REASONS or (
            self.stop_reason in SETUP_FAILURES and has_begun
        )

    @property
    def duration(self) -> timedelta | None:
        """From the agent's start to the end; `None` until both are known."""
        if self.started_at is None or self.completed_at is None:
            return None
        return max(self.completed_at - self.started_at, timedelta(0))


class RunNotFound(NotFound):
    """No run has this id."""

    code = "run_not_found"

    def __init__(self, target: str) -> None:
        super().__init__(f"no run {target}", user_message=f"I can't find a run `{target[:40]}`.")
        self.target = target


class AmbiguousRun(NotFound):
    """More than one run's id begins like this."""

    code = "ambiguous_run"

    def __init__(self, target: str, matches: tuple[str, ...]) -> None:
        listed = ", ".join(f"`{match}`" for match in matches[:5])
        super().__init__(
            f"{len(matches)} runs match {target}",
            user_message=f"Several runs begin with `{target[:40]}`: {listed}. Give more digits.",
        )
        self.target = target
        self.matches = matches


class IllegalTransition(Conflict):
    """The wanted status does not follow the present one."""

    code = "illegal_transition"

    def __init__(self, run_id: str, present: RunStatus, wanted: RunStatus) -> None:
        super().__init__(
            f"{run_id} is {present}, cannot become {wanted}",
            user_message=f"Run `{run_id}` is already {present}.",
        )
        self.run_id = run_id
        self.present = present
        self.wanted = wanted


class StaleAttempt(Conflict):
    """The writer's attempt is not the run's present one: it was declared lost meanwhile."""

    code = "stale_attempt"

    def __init__(self, run_id: str, attempt: int) -> None:
        super().__init__(
            f"{run_id} has gone past attempt {attempt}",
            user_message=f"Run `{run_id}` was taken over by another worker.",
        )
        self.run_id = run_id
        self.attempt = attempt


class SessionBusy(Conflict):
    """The session already has a live run."""

    code = "session_busy"

    def __init__(self, live_run_id: str) -> None:
        super().__init__(
            f"session busy with {live_run_id}",
            user_message=f"This session is busy with the live run `{live_run_id}`.",
        )
        self.live_run_id = live_run_id


class AlreadyRequested(Conflict):
    """This very request has started a run before: at the same moment, or in an earlier delivery."""

    code = "already_requested"

    def __init__(self, request_key: str, run_id: str) -> None:
        super().__init__(
            f"request {request_key} has started {run_id}",
            user_message=f"That has already started run `{run_id}`.",
        )
        self.request_key = request_key
        self.run_id = run_id
