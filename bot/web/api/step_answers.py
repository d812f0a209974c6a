"""The steps, the progress and the summary of a run, as the older API's plan names their fields."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.web.api.values import money
from bot.web.route import Answer
from core.domain.runs.enrichment import Enrichment, ProgressSummary, WorkflowSummary
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.step import Step, StepStatus


class StepAnswer(Answer):
    """A step of the plan.

    Attributes:
        duration_seconds: Until its end, or until now while it is in progress.
        cost: US dollars; `null` if unknown.
    """

    step_id: int
    name: str
    status: StepStatus
    started_at: datetime | None
    completed_at: datetime | None
    duration_seconds: int | None
    result: str | None
    tools_used: list[str]
    tool_calls: int
    cost: float | None
    error: str | None


class StepsAnswer(Answer):
    """The plan of a run.

    Attributes:
        current_step: The `step_id` of the step in progress; `null` if none is.
        steps: Empty if they were not asked for.
    """

    current_step: int | None
    total_steps: int
    steps: list[StepAnswer]


class StepResultAnswer(StepAnswer):
    """A step of a completed run.

    Attributes:
        success: Whether it was completed; `null` if the agent dropped it.
    """

    success: bool | None


class ProgressAnswer(Answer):
    """How far a run is; `null` means unknown.

    Attributes:
        completion_percentage: From 0 to 100.
    """

    completion_percentage: float | None
    estimated_completion: datetime | None
    current_phase: str | None
    recent_activity: str | None


class SummaryAnswer(Answer):
    """What came out of a completed run, from evidence; `null` means unknown.

    Attributes:
        success_rate: From 0 to 100.
    """

    total_steps_completed: int
    success_rate: float | None
    major_achievements: list[str] | None
    files_modified: int | None
    tests_passed: int | None
    deployment_ready: bool | None


def enriched_fields(
    run: Run, enrichment: Enrichment, now: datetime, *, has_steps: bool
) -> dict[str, Any]:
    """The fields that a status adds, which depend on whether the run runs or is completed."""
    fields: dict[str, Any] = {}
    if run.status is RunStatus.RUNNING:
        fields["workflow_steps"] = _steps(enrichment.steps, now, has_steps=has_steps)
        if enrichment.progress is not None:
            fields["progress_summary"] = _progress(enrichment.progress)
    if run.status is RunStatus.COMPLETED:
        fields["final_result"] = enrichment.final_result
        if enrichment.summary is not None:
            fields["workflow_summary"] = _summary(enrichment.summary)
        if has_steps:
            fields["step_by_step_results"] = [_result(step, now) for step in enrichment.steps]
    elif run.status is not RunStatus.RUNNING and enrichment.steps:
        # A failed or killed run got somewhere, too.
        fields["workflow_steps"] = _steps(enrichment.steps, now, has_steps=has_steps)
    return fields


def _steps(found: Sequence[Step], now: datetime, *, has_steps: bool) -> StepsAnswer:
    current = next((step for step in found if step.status is StepStatus.IN_PROGRESS), None)
    return StepsAnswer(
        current_step=None if current is None else current.step_id,
        total_steps=len(found),
        steps=[StepAnswer(**_fields(step, now)) for step in found] if has_steps else [],
    )


def _result(step: Step, now: datetime) -> StepResultAnswer:
    success = None if step.status is StepStatus.SKIPPED else step.status is StepStatus.COMPLETED
    return StepResultAnswer(**_fields(step, now), success=success)


def _fields(step: Step, now: datetime) -> dict[str, Any]:
    return {
        "step_id": step.step_id,
        "name": step.name,
        "status": step.status,
        "started_at": step.started_at,
        "completed_at": step.completed_at,
        "duration_seconds": _seconds(step, now),
        "result": step.result,
        "tools_used": list(step.tools_used),
        "tool_calls": step.tool_calls,
        "cost": money(step.cost_usd),
        "error": step.error,
    }


def _seconds(step: Step, now: datetime) -> int | None:
    took = step.duration
    if took is None and step.status is StepStatus.IN_PROGRESS and step.started_at is not None:
        took = now - step.started_at
    return None if took is None else max(round(took.total_seconds()), 0)


def _progress(progress: ProgressSummary) -> ProgressAnswer:
    return ProgressAnswer(
        completion_percentage=progress.completion_percentage,
        estimated_completion=progress.estimated_completion,
        current_phase=progress.current_phase,
        recent_activity=progress.recent_activity,
    )


def _summary(summary: WorkflowSummary) -> SummaryAnswer:
    achieved = summary.major_achievements
    return SummaryAnswer(
        total_steps_completed=summary.total_steps_completed,
        success_rate=summary.success_rate,
        major_achievements=None if achieved is None else list(achieved),
        files_modified=summary.files_modified,
        tests_passed=summary.tests_passed,
        deployment_ready=summary.deployment_ready,
    )
