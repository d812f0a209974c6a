"""The structured results of the tools, made from domain values.

What is unknown is `null`, never 0.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.mcp.failure_results import FailureResult, failure_result
from bot.mcp.progress_results import (
    ProgressResult,
    Result,
    StepResult,
    SummaryResult,
    progress_result,
    step_result,
    summary_result,
)
from bot.words.markup import PLAIN
from bot.words.restarts import preview_lines, restarted_words
from bot.words.runs.enrichment import ENRICHMENT_FAILED
from bot.words.runs.names import leg_suffix, task_name
from bot.words.runs.states import state_of
from bot.words.runs.work.checkpoints import checkpoint_line
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.request import StartResult
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.preview import RestartPreview
from core.domain.runs.snapshot import RunSnapshot
from core.domain.sessions.recovery import needs_recovery
from core.services.runs.status import StatusReport

_MAX_TEXT_CHARS = 20_000
_TASK_CHARS = 200


class RunResult(Result):
    """A run.

    Attributes:
        summary: Its state in words, with what a person would have to do.
        outcome: `clean`, or `attention` with reasons; only of a completed run.
        failure: What ended the run, or what it is tried again after.
        progress_summary: Of a run that has begun and not ended.
        final_result: The agent's report, cut if it is very long; of a run that has ended, as is
            `workflow_summary`.
        warning: What of this result is missing, and why.
    """

    run_id: str
    session_id: str
    workflow_name: str
    task: str
    status: str
    summary: str
    stop_reason: str | None
    outcome: str | None
    outcome_reasons: list[str]
    waiting_on: str | None
    can_continue: bool
    needs_recovery: bool
    leg: int
    queue_position: int | None
    turns: int
    max_turns: int | None
    tool_calls: int
    cost_usd: float | None
    cost_source: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    elapsed_seconds: float | None
    last_activity: str | None
    repository_url: str | None
    git_branch: str | None
    files_changed: int | None
    commits: int | None
    error: str | None
    failure: FailureResult | None = None
    steps: list[StepResult] | None = None
    progress_summary: ProgressResult | None = None
    final_result: str | None = None
    workflow_summary: SummaryResult | None = None
    warning: str | None = None


class RunsResult(Result):
    """Runs, newest first."""

    runs: list[RunResult]


class StartedResult(Result):
    """A run that was requested.

    Attributes:
        is_new: Whether this call has started it; `false` if an earlier one with the same key has.
        continued_run_id: The run that it continues.
        note: What to do next.
    """

    run_id: str
    session_id: str
    workflow_name: str
    status: str
    is_new: bool
    queue_position: int | None
    continued_run_id: str | None
    note: str


class RestartResult(Result):
    """A restart, or what one would do.

    Attributes:
        started: The new run; `null` if this was a preview.
        text: What a restart does, or what was done, in words.
        is_possible: Whether nothing is in its way.
        checkpoints: From where one can restart, a line for each; empty if it was started.
    """

    started: StartedResult | None
    text: str
    is_possible: bool
    checkpoints: list[str]


class KillResult(Result):
    """A kill.

    Attributes:
        phase: `confirmed` is the proof that no process of the run is left.
        phases_ms: When each phase began, in milliseconds after the request.
        survivors: Processes that were alive at the last look.
    """

    run_id: str
    task: str
    is_confirmed: bool
    phase: str
    summary: str
    requested_at: datetime
    completed_at: datetime | None
    phases_ms: dict[str, int]
    proof_by: str | None
    processes_seen: int
    survivors: list[str]


def status_result(
    snapshot: RunSnapshot, report: StatusReport, *, now: datetime, with_steps: bool
) -> RunResult:
    """A run with its steps, its progress and what came out of it, as far as they could be read."""
    found = report.enrichment
    if found is None:
        return run_result(snapshot, now=now, warning=ENRICHMENT_FAILED)
    progress, summary = found.progress_summary, found.workflow_summary
    return run_result(
        snapshot,
        now=now,
        steps=[step_result(step) for step in found.steps] if with_steps else None,
        progress_summary=None if progress is None else progress_result(progress),
        final_result=_cut(found.final_result),
        workflow_summary=None if summary is None else summary_result(summary),
    )


def run_result(snapshot: RunSnapshot, *, now: datetime, **more: Any) -> RunResult:
    """A run; `more` are fields that are not in its row."""
    run = snapshot.run
    state = state_of(snapshot, PLAIN)
    ended = run.completed_at or now
    return RunResult(
        run_id=run.run_id,
        session_id=str(run.session_id),
        workflow_name=run.workflow_name,
        task=task_name(snapshot, PLAIN, _TASK_CHARS),
        status=run.status.value,
        summary=f"{state.title}. {state.detail}".rstrip() if state.detail else state.title,
        stop_reason=run.stop_reason.value if run.stop_reason else None,
        outcome=run.outcome.value if run.outcome else None,
        outcome_reasons=[reason.value for reason in run.outcome_reasons],
        waiting_on=run.waiting_on.value if run.waiting_on else None,
        can_continue=run.can_continue,
        needs_recovery=needs_recovery(run),
        leg=snapshot.leg,
        queue_position=snapshot.queue_position,
        turns=run.turns,
        max_turns=run.max_turns,
        tool_calls=run.tool_calls,
        cost_usd=None if run.cost_usd is None else float(run.cost_usd),
        cost_source=run.cost_source.value if run.cost_source else None,
        created_at=run.created_at,
        started_at=run.started_at,
        completed_at=run.completed_at,
        elapsed_seconds=None
        if run.started_at is None
        else max((ended - run.started_at).total_seconds(), 0.0),
        last_activity=run.last_activity,
        repository_url=run.git_repo,
        git_branch=run.git_branch,
        files_changed=run.diff.file_count if run.diff else None,
        commits=run.diff.commit_count if run.diff else None,
        error=_cut(run.error_message),
        failure=failure_result(run),
        **more,
    )


def started_result(found: StartResult) -> StartedResult:
    """The run that a request has started."""
    run = found.run
    return StartedResult(
        run_id=run.run_id,
        session_id=str(run.session_id),
        workflow_name=run.workflow_name,
        status=run.status.value,
        is_new=found.is_new,
        queue_position=found.queue_position,
        continued_run_id=found.continued,
        note="get_workflow_status shows this run, and with wait_seconds waits for its end.",
    )


def restart_preview_result(preview: RestartPreview) -> RestartResult:
    """What a restart would do."""
    return RestartResult(
        started=None,
        text="\n".join(preview_lines(preview, PLAIN)),
        is_possible=not preview.blocking,
        checkpoints=[checkpoint_line(one, PLAIN) for one in preview.checkpoints],
    )


def restarted_result(found: StartResult) -> RestartResult:
    """The run that a restart has started."""
    origin = RestartOrigin.of(found.run)
    return RestartResult(
        started=started_result(found),
        text="" if origin is None else f"{restarted_words(origin, PLAIN)}.",
        is_possible=True,
        checkpoints=[],
    )


def kill_result(snapshot: RunSnapshot, kill: Termination, summary: str) -> KillResult:
    """A kill as it stands; it names the task, so that a caller sees what it stopped."""
    return KillResult(
        run_id=snapshot.run.run_id,
        task=f"{task_name(snapshot, PLAIN, _TASK_CHARS)}{leg_suffix(snapshot)}",
        is_confirmed=kill.phase is Phase.CONFIRMED,
        phase=kill.phase.value,
        summary=summary,
        requested_at=kill.requested_at,
        completed_at=kill.completed_at,
        phases_ms={phase.value: at for phase, at in kill.phases.items()},
        proof_by=kill.proof_by.value if kill.proof_by else None,
        processes_seen=kill.processes_seen,
        survivors=[f"{one.name} ({one.pid})" for one in kill.survivors],
    )


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= _MAX_TEXT_CHARS:
        return text
    return f"{text[:_MAX_TEXT_CHARS]}\n… ({len(text) - _MAX_TEXT_CHARS:,} more characters)"
