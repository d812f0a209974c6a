"""What a status says beyond the run's own row: steps, progress, result.  Pure.

It is composed from rows by one function, `compose`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from core.domain.building import build
from core.domain.progress.activity import recent_activity
from core.domain.progress.completion import step_count
from core.domain.progress.estimate import Estimate, Pace, PastRun, estimate_end, task_key
from core.domain.progress.final_result import final_result
from core.domain.progress.summary import WorkflowSummary, workflow_summary
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.step import Step, StepStatus
from core.domain.steps.fold import step_in_progress

_SUCCESS = {StepStatus.COMPLETED: True, StepStatus.FAILED: False}


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """A step as a status reports it.

    Attributes:
        duration_seconds: Of a step in progress the time since its start; `None` if unknown.
        result: What the agent said last in a completed step.
        cost_usd: `None` if it is unknown.
        success: `None` if it neither was completed nor failed.
    """

    step_id: int
    name: str
    status: StepStatus
    started_at: datetime | None
    completed_at: datetime | None
    duration_seconds: int | None
    result: str | None
    tools_used: tuple[str, ...]
    tool_calls: int
    cost_usd: Decimal | None
    error: str | None
    success: bool | None


@dataclass(frozen=True, kw_only=True)
class WorkflowSteps:
    """The steps of a run.

    Attributes:
        current_step: The id of the step in progress; `None` if there is none.
    """

    current_step: int | None
    total_steps: int
    steps: tuple[StepReport, ...]


@dataclass(frozen=True, kw_only=True)
class ProgressSummary:
    """How far a run is.  `None` is unknown."""

    completion_percentage: float | None
    estimated_completion: Estimate | None
    current_phase: str | None
    recent_activity: str | None


@dataclass(frozen=True, kw_only=True)
class Enrichment:
    """The additions to a status.

    Attributes:
        workflow_steps: Of a run that has begun and not ended, as is `progress_summary`.
        final_result: Of a run that has ended, as are `workflow_summary` and
            `step_by_step_results`.
    """

    workflow_steps: WorkflowSteps | None = None
    progress_summary: ProgressSummary | None = None
    final_result: str | None = None
    workflow_summary: WorkflowSummary | None = None
    step_by_step_results: tuple[StepReport, ...] | None = None

    @property
    def steps(self) -> tuple[StepReport, ...]:
        """The steps of a run that has begun, whether it has ended or not."""
        if self.workflow_steps is not None:
            return self.workflow_steps.steps
        return self.step_by_step_results or ()


@dataclass(frozen=True, kw_only=True)
class StatusRows:
    """The rows that an enrichment is composed from.

    Attributes:
        events: The newest ones, oldest first: of a running run of all kinds, of an ended one the
            agent's texts.
        past: Earlier runs of the workflow; only of a running run.
    """

    run: Run
    steps: tuple[Step, ...] = ()
    events: tuple[EventRecord, ...] = ()
    past: tuple[PastRun, ...] = ()


def compose(rows: StatusRows, *, now: datetime) -> Enrichment:
    """Compose the additions to a status; the same rows at the same time give the same."""
    run, steps = rows.run, rows.steps
    # Nothing of an ended run changes as time passes.
    until = run.completed_at or run.updated_at if run.status.is_final else now
    reports = tuple(_report(step, until) for step in steps)
    if run.status.is_final:
        final = final_result(run.result, _texts(rows.events))
        return Enrichment(
            final_result=final,
            workflow_summary=workflow_summary(run, steps, final),
            step_by_step_results=reports,
        )
    if run.started_at is None:
        return Enrichment()
    current, count = step_in_progress(steps), step_count(steps)
    return Enrichment(
        workflow_steps=WorkflowSteps(
            current_step=None if current is None else current.step_id,
            total_steps=len(steps),
            steps=reports,
        ),
        progress_summary=ProgressSummary(
            completion_percentage=None if count is None else count.percentage,
            estimated_completion=_estimate(rows, run.started_at, now),
            current_phase=None if current is None else current.name,
            recent_activity=recent_activity(run, rows.events),
        ),
    )


def past_run(run: Run, steps: Sequence[Step]) -> PastRun | None:
    """A completed run as one to compare with; `None` if its times are unknown."""
    if run.started_at is None or run.duration is None or not run.duration:
        return None
    count = step_count(steps)
    return PastRun(
        duration=run.duration,
        task=task_key(run.task_input),
        step_ends=() if count is None else _step_ends(steps, run.started_at),
        steps=0 if count is None else count.total,
        is_continuation=run.parent_run_id is not None,
    )


def _estimate(rows: StatusRows, started_at: datetime, now: datetime) -> Estimate | None:
    run = rows.run
    # How long it waits for a person, a worker or an account is unknown.
    if run.waiting_on is not None or run.status is not RunStatus.RUNNING:
        return None
    ends = _step_ends(rows.steps, started_at)
    pace = Pace(
        elapsed=max(now - started_at, timedelta(0)),
        task=task_key(run.task_input),
        count=step_count(rows.steps),
        last_step_end=ends[-1] if ends else None,
        is_continuation=run.parent_run_id is not None,
    )
    return estimate_end(rows.past, pace, started_at=started_at)


def _step_ends(steps: Sequence[Step], started_at: datetime) -> tuple[timedelta, ...]:
    """When the completed steps ended, since the start of the run, in order."""
    ends = [
        step.completed_at - started_at
        for step in steps
        if step.status is StepStatus.COMPLETED and step.completed_at is not None
    ]
    return tuple(sorted(end for end in ends if end >= timedelta(0)))


def _texts(events: Sequence[EventRecord]) -> list[str]:
    texts = [
        event.data.get("text")
        for event in events
        if event.kind is EventKind.AGENT_TEXT and not event.data.get("subagent")
    ]
    return [text for text in texts if isinstance(text, str)]


def _report(step: Step, now: datetime) -> StepReport:
    duration = step.duration
    if step.status is StepStatus.IN_PROGRESS and step.started_at is not None:
        duration = now - step.started_at
    return build(
        StepReport,
        {
            "step_id": step.step_id,
            "name": step.name,
            "status": step.status,
            "started_at": step.started_at,
            "completed_at": step.completed_at,
            "duration_seconds": None
            if duration is None
            else max(round(duration.total_seconds()), 0),
            "result": step.result if step.status is StepStatus.COMPLETED else None,
            "tools_used": step.tools_used,
            "tool_calls": step.tool_calls,
            "cost_usd": step.cost_usd,
            "error": step.error,
            "success": _SUCCESS.get(step.status),
        },
    )
