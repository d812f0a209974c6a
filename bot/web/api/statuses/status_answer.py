"""A run's status as JSON: the fields of the older API, and the enrichment beside them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from bot.web.api.failures.failure_answers import FailedAttemptAnswer, failure_fields
from bot.web.api.restarts.origin_answer import RestartOriginAnswer, origin_fields
from bot.web.api.run_starts import begun_at
from bot.web.api.statuses.step_answers import (
    ProgressAnswer,
    StepResultAnswer,
    StepsAnswer,
    SummaryAnswer,
    enriched_fields,
)
from bot.web.api.values import RowId, moment, money
from bot.web.route import Answer, LenientParameters
from bot.words import counts
from bot.words.markup import PLAIN
from bot.words.runs.log_lines import log_line
from bot.words.runs.states import state_of
from core.domain.failures.failed_attempt import failed_attempts_of, last_failure_of
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason, WaitingOn
from core.domain.runs.snapshot import RunSnapshot
from core.domain.sessions.recovery import is_recovery, needs_recovery
from core.services.runs.status import StatusReport

# As many as the older API named.
_RECENT_STEPS = 5
_TASK_CHARS = 500
_EXIT_CODES = {RunStatus.COMPLETED: 0, RunStatus.FAILED: 1, RunStatus.KILLED: 1}
# Proxies commonly end a request that takes a minute.
MAX_WAIT_SECONDS = 55
ENRICHMENT_FAILED = "The steps and the result could not be read just now; everything else holds."


class StatusQuery(LenientParameters):
    """What a status has beside its base fields."""

    include_steps: bool = Field(default=True, description="Whether steps are listed.")
    include_logs: bool = Field(default=False, description="Whether `logs` is filled.")
    enhanced: bool = Field(
        default=True, description="Whether there is more than the fields of the older API."
    )
    debug: bool = Field(default=False, description="Whether there are facts about the execution.")
    wait: Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS)] = Field(
        default=0,
        description="How many seconds to wait for a change, if the run is still as in `version` or "
        "`If-None-Match`.",
    )
    version: RowId | None = Field(
        default=None, description="The `version` of the status that is known, for `wait`."
    )


class StatusAnswer(Answer):
    """The status of a run.

    Attributes:
        started_at: When it began; until it begins, when it was requested.
        execution_time: Seconds from its start to its end; `null` until it has ended.
        exit_code: 0 for a completed run, 1 for a failed or killed one, `null` until it has ended.
        git_commits: The commits that it made, newest first.
        cost: US dollars; `null` while it is unknown.
        tokens: Input and output tokens; `null` while they are unknown.
        turns: The model's answers to the main agent.
        progress_indicator: `Turn 51, 22 tools used`.
        recent_steps: The names of the last steps that were begun, oldest first.
        elapsed_seconds: Since its start, until its end.
        current_turns: The same as `turns`.
        logs: What happened, a line each; `null` unless it was asked for.
        task: What it works on, its first words; of a later leg the task of the first one.
        leg: Its number among the runs of its session on that task.
        is_recovery: Whether it began a new conversation with a summary of one that was lost.
        needs_recovery: Whether it failed because the conversation cannot be restored, so that only
            a recovery leg goes on.
        restarted_from: The point from which it was restarted; `null` for any other run.
        headline: The state of the run in words, as every surface shows it.
        is_saving_work: Whether it has ended, and its work is still being saved and measured; a
            completed run has no outcome until then.
        failure: What ended it, or what it is tried again after; `null` if nothing has failed it.
        failed_attempts: All its failed attempts, oldest first, also of a run that goes on.
        retry_at: When its next attempt may begin, while it waits for that.
        warning: What of this answer is missing, and why; only there if something is.
    """

    run_id: str
    status: RunStatus
    session_id: UUID
    workflow_name: str
    started_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    execution_time: float | None
    result: str | None
    error: str | None
    exit_code: int | None
    git_commits: list[str]
    git_sha_end: str | None
    cost: float | None
    tokens: int | None
    turns: int
    tool_calls: int
    tools_used: list[str]
    progress_indicator: str
    last_activity: str | None
    recent_steps: list[str]
    elapsed_seconds: float
    current_turns: int
    max_turns: int | None
    logs: str | None

    task: str | None = None
    leg: int = 1
    is_recovery: bool = False
    needs_recovery: bool = False
    restarted_from: RestartOriginAnswer | None = None
    headline: str | None = None
    created_at: datetime | None = None
    stop_reason: StopReason | None = None
    waiting_on: WaitingOn | None = None
    outcome: Outcome | None = None
    outcome_reasons: list[OutcomeReason] = Field(default_factory=list)
    can_continue: bool = False
    cost_source: CostSource | None = None
    is_killing: bool = False
    is_saving_work: bool = False
    attempt: int = 1
    version: int = 0
    retry_at: datetime | None = None
    failure: FailedAttemptAnswer | None = None
    failed_attempts: list[FailedAttemptAnswer] = Field(default_factory=list)

    workflow_steps: StepsAnswer | None = None
    progress_summary: ProgressAnswer | None = None
    final_result: str | None = None
    workflow_summary: SummaryAnswer | None = None
    step_by_step_results: list[StepResultAnswer] | None = None

    debug: dict[str, Any] | None = None
    warning: str | None = None


def status_answer(report: StatusReport, query: StatusQuery, *, now: datetime) -> StatusAnswer:
    """A status as JSON, checked.  Pure; fields that are not set are left out."""
    return StatusAnswer(**status_fields(report, query, now=now))


def status_fields(report: StatusReport, query: StatusQuery, *, now: datetime) -> dict[str, Any]:
    """The fields of a `StatusAnswer`, without those that do not apply.  Pure."""
    fields = _base_fields(report, now)
    run = report.run
    if query.enhanced:
        fields |= _facts(report)
        if report.enrichment is not None:
            fields |= enriched_fields(report.enrichment, has_steps=query.include_steps)
    if query.debug:
        fields["debug"] = _debug_facts(run)
    if not report.is_complete:
        fields["warning"] = ENRICHMENT_FAILED
    return fields


def _base_fields(report: StatusReport, now: datetime) -> dict[str, Any]:
    """The fields of the older API, with its meanings."""
    run = report.run
    took = run.duration
    return {
        "run_id": run.run_id,
        "status": run.status.value,
        "session_id": str(run.session_id),
        "workflow_name": run.workflow_name,
        "started_at": moment(begun_at(run)),
        "updated_at": moment(run.updated_at),
        "completed_at": moment(run.completed_at),
        "execution_time": None if took is None else round(took.total_seconds(), 3),
        "result": run.result,
        "error": run.error_message,
        "exit_code": _EXIT_CODES.get(run.status),
        "git_commits": [] if run.diff is None else [one.sha for one in run.diff.commits],
        "git_sha_end": run.final_commit_hash,
        "cost": money(run.cost_usd),
        "tokens": run.usage.total_tokens if run.has_known_tokens else None,
        "turns": run.turns,
        "tool_calls": run.tool_calls,
        "tools_used": list(run.tools_used),
        "progress_indicator": progress_indicator(run),
        "last_activity": run.last_activity,
        "recent_steps": list(report.begun_steps[-_RECENT_STEPS:]),
        "elapsed_seconds": elapsed_seconds(run, now),
        "current_turns": run.turns,
        "max_turns": run.max_turns,
        "logs": None
        if report.log_events is None
        else "\n".join(log_line(event) for event in report.log_events),
    }


def progress_indicator(run: Run) -> str:
    """How far a run is, as the older API said it: `Turn 51, 22 tools used`."""
    return f"Turn {run.turns}, {counts.plural(run.tool_calls, 'tool')} used"


def elapsed_seconds(run: Run, now: datetime) -> float:
    """The seconds from a run's start to its end, or to now; 0 for one that never started."""
    if run.started_at is None:
        return 0.0
    until = now if run.is_live else run.completed_at or run.updated_at
    return round(max((until - run.started_at).total_seconds(), 0.0), 3)


def _facts(report: StatusReport) -> dict[str, Any]:
    """What the older API had no fields for."""
    run, place = report.run, report.place
    failure = last_failure_of(run)
    return {
        "task": (run.task_input if place is None else place.about)[:_TASK_CHARS],
        "leg": 1 if place is None else place.leg,
        "is_recovery": is_recovery(run),
        "needs_recovery": needs_recovery(run),
        "restarted_from": origin_fields(RestartOrigin.of(run)),
        "headline": state_of(RunSnapshot(run=run), PLAIN).title,
        "created_at": moment(run.created_at),
        "stop_reason": run.stop_reason,
        "waiting_on": run.waiting_on,
        "outcome": run.outcome,
        "outcome_reasons": list(run.outcome_reasons),
        "can_continue": run.can_continue,
        "cost_source": run.cost_source,
        "is_killing": run.is_live and run.kill_requested_at is not None,
        "is_saving_work": run.is_work_pending,
        "attempt": run.attempt,
        "version": run.version,
        "retry_at": moment(run.retry_at),
        "failure": None if failure is None else failure_fields(failure),
        "failed_attempts": [failure_fields(one) for one in failed_attempts_of(run)],
    }


def _debug_facts(run: Run) -> dict[str, Any]:
    return {
        "worker_id": run.worker_id,
        "workspace_id": run.workspace_id,
        "job_id": run.job_id,
        "queue_reason": run.queue_reason,
        "thread_key": run.thread_key,
        "on_worker_lost": run.on_worker_lost,
        "kill_requested_at": run.kill_requested_at,
        "last_activity_at": run.last_activity_at,
        "work_due_at": run.work_due_at,
    }
