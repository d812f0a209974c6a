"""A run: one execution of a workflow in a session, its statuses, and why it stopped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.fleet.workers import QueueReason
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.work.diff import DiffStat
from core.domain.workflow import OnWorkerLost

RUN_ID_PREFIX = "run_"
# With fewer digits of its id nobody may stop or continue a run.
MIN_RUN_ID_DIGITS = 4
_WHOLE_ID = re.compile(rf"(?:{RUN_ID_PREFIX})?([0-9a-f]{{12}})")


def whole_run_id(text: str) -> str | None:
    """The run id that a text is, with or without its prefix; `None` if it is not a whole one."""
    found = _WHOLE_ID.fullmatch(text.strip().lower())
    return None if found is None else RUN_ID_PREFIX + found[1]


class RunStatus(StrEnum):
    """The five statuses of a run; finer distinctions are columns."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_final(self) -> bool:
        """Whether no other status can follow."""
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = MappingProxyType(
    {
        RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.KILLED}),
        # Back to pending is a requeue: the worker was lost, or handed the run over to stop, or the
        # attempt failed and is followed by another one.
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
    """Return the statuses that `to` may follow directly."""
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


# Reasons that more turns, money, time, or another attempt can overcome.
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
# The run could not be set up; somebody has to fix the cause first.
SETUP_FAILURES = frozenset({StopReason.WORKSPACE_ERROR, StopReason.SETUP_ERROR})


class WaitingOn(StrEnum):
    """What a run is waiting for: for a usage limit it is pending, for anything else running."""

    APPROVAL = "approval"
    QUESTION = "question"
    BUDGET = "budget"
    USAGE_LIMIT = "usage_limit"


# What only a person ends; a usage limit ends by itself.
WAITING_ON_A_PERSON = frozenset(WaitingOn) - {WaitingOn.USAGE_LIMIT}


class CostSource(StrEnum):
    """The source of a cost: the agent program's report, or usage times a price table."""

    REPORTED = "reported"
    ESTIMATED = "estimated"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Token counts.  As in the API, `input_tokens` does not include the cache's tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input plus output tokens; the cache's have other prices and are reported separately."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_creation_tokens=self.cache_creation_tokens + other.cache_creation_tokens,
        )

    def minus(self, other: Usage) -> Usage:
        """Subtract `other` from each count; no count becomes negative."""
        return Usage(
            input_tokens=max(self.input_tokens - other.input_tokens, 0),
            output_tokens=max(self.output_tokens - other.output_tokens, 0),
            cache_read_tokens=max(self.cache_read_tokens - other.cache_read_tokens, 0),
            cache_creation_tokens=max(self.cache_creation_tokens - other.cache_creation_tokens, 0),
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row of `workflow_runs`.

    Attributes:
        run_id: `run_` and 12 hex digits; the id that people use.
        attempt: The number of the present attempt; a requeue adds one.  Every write of a worker
            names its attempt, so that late writes of a lost worker have no effect.
        version: Increases with every visible change; what is drawn is compared with it.
        initial_branches: The local branches when the run started, by full name; `None` if unknown.
        diff: What the run changed; `None` until that is measured, or if it cannot be.
        changes_unknown: Why no changes could be measured, for people; `None` if they could, or
            if there was no workspace.
        work_due_at: While the work of an ended run is still being saved and measured: the time by
            which that is done, or another worker sees to it.
        usage: Tokens of the run, over all its attempts, subagents included; see
            `has_known_tokens`.
        turns: The model's answers to the main agent, over all attempts; `max_turns` limits these.
        tool_calls: Of the main agent and its subagents, over all attempts.
        cost_usd: Cost of the run in US dollars, over all its attempts; `None` while it is unknown.
        restarted_from_checkpoint_id: The checkpoint to which a restart put it back; the row may be
            deleted by now.  `None` for any other run, and for a restart from the start.
        thread_key: `run_id` of the run whose card heads the Slack thread; all runs of a session
            share it.
        request_key: The id of the request at its origin.  It is unique, so that a request which is
            delivered twice starts one run.
        job_id: The job for the present attempt; `None` while the run waits for admission.
        queue_reason: The cap that holds the run, while one does.
        retry_at: While a run waits for its next attempt after one that failed: when that may be
            admitted.
        outcome: What the evidence says about a completed run; `None` for any other.
        outcome_reasons: Why a completed run needs a look; empty if its outcome is clean.
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
    initial_branches: Mapping[str, str] | None = None
    diff: DiffStat | None = None
    changes_unknown: str | None = None
    work_due_at: datetime | None = None
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
    restarted_from_checkpoint_id: UUID | None = None
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
    retry_at: datetime | None = None
    outcome: Outcome | None = None
    outcome_reasons: tuple[OutcomeReason, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether the run has not ended."""
        return self.status in LIVE_STATUSES

    @property
    def is_work_pending(self) -> bool:
        """Whether the run has ended, and its work is still being saved and measured."""
        return self.work_due_at is not None

    @property
    def can_continue(self) -> bool:
        """Whether the run stopped unfinished, and its session can be continued.

        A run that could not be set up can be continued if its session has had a turn before.
        """
        has_begun = self.parent_run_id is not None or self.turns > 0
        return self.stop_reason in CONTINUABLE_REASONS or (
            self.stop_reason in SETUP_FAILURES and has_begun
        )

    @property
    def has_known_tokens(self) -> bool:
        """Whether the tokens are known: every answer of a model has some."""
        return self.usage != Usage()

    @property
    def turns_left(self) -> int:
        """The turns of its limit that the run has not used.

        0 if it has no limit, if the limit ended it, or if it completed its task: then nothing of
        the limit is still needed.
        """
        is_used_up = self.stop_reason in (StopReason.MAX_TURNS, StopReason.SUCCESS)
        if self.max_turns is None or is_used_up:
            return 0
        return max(self.max_turns - max(self.turns, 0), 0)

    @property
    def duration(self) -> timedelta | None:
        """The time from the start of the first attempt to the end; `None` until it has ended."""
        if self.started_at is None or self.completed_at is None:
            return None
        return max(self.completed_at - self.started_at, timedelta(0))
