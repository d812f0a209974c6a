"""The steps, the progress and the summary of a run, as the older API's plan names their fields."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.web.api.values import moment, money
from bot.web.route import Answer
from core.domain.progress.enrichment import (
    Enrichment,
    ProgressSummary,
    StepReport,
    WorkflowSteps,
)
from core.domain.progress.estimate import Estimate
from core.domain.progress.summary import WorkflowSummary
from core.domain.runs.step import StepStatus


class StepAnswer(Answer):
    """A step of a run.

    Attributes:
        duration_seconds: Until its end, or until now while it is in progress.
        result: What the agent said last in a completed step.
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
    """The steps of a run.

    Attributes:
        current_step: The `step_id` of the step in progress; `null` if none is.
        steps: Empty if they were not asked for.
    """

    current_step: int | None
    total_steps: int
    steps: list[StepAnswer]


class StepResultAnswer(StepAnswer):
    """A step of a run that has ended.

    Attributes:
        success: Whether it was completed or failed; `null` if neither.
    """

    success: bool | None


class EstimateSpreadAnswer(Answer):
    """How certain an estimated end is.

    Attributes:
        earliest: A quarter of the comparable runs would have ended by then.
        latest: Three quarters would have ended by then.
        runs: The number of earlier runs that the estimate is drawn from.
    """

    earliest: datetime
    latest: datetime
    runs: int


class ProgressAnswer(Answer):
    """How far a run is; `null` means unknown.

    Attributes:
        completion_percentage: From 0 to 100.
        estimated_completion: The median of what comparable earlier runs took.
        estimated_completion_spread: `null` if there is no estimate.
        current_phase: The name of the step in progress.
        recent_activity: What the agent does, or did last, in words.
    """

    completion_percentage: float | None
    estimated_completion: datetime | None
    estimated_completion_spread: EstimateSpreadAnswer | None
    current_phase: str | None
    recent_activity: str | None


class SummaryAnswer(Answer):
    """What came out of a run, from evidence; `null` means unknown.

    Attributes:
        total_steps_completed: Of its steps of any kind; `null` if it had none.
        success_rate: The completed share of its plan, from 0 to 100; `null` without a plan.
        major_achievements: From the agent's own list.
        tests_passed: In the last test runs; `null` if none was seen, or not all of one.
        tests_failed: In the last test runs, at least; `null` if none was seen.
        deployment_ready: `null` if no test proves anything.
    """

    total_steps_completed: int | None
    success_rate: float | None
    major_achievements: list[str] | None
    files_modified: int | None
    tests_passed: int | None
    tests_failed: int | None
    deployment_ready: bool | None


def enriched_fields(enrichment: Enrichment, *, has_steps: bool) -> dict[str, Any]:
    """The fields that a status adds, which depend on whether the run has begun or ended.

    Each is a value of its model above, as a dictionary.
    """
    fields: dict[str, Any] = {}
    if enrichment.workflow_steps is not None:
        fields["workflow_steps"] = _steps(enrichment.workflow_steps, has_steps=has_steps)
    if enrichment.progress_summary is not None:
        fields["progress_summary"] = _progress(enrichment.progress_summary)
    if enrichment.workflow_summary is not None:
        # A failed or killed run got somewhere, too.
        fields["final_result"] = enrichment.final_result
        fields["workflow_summary"] = _summary(enrichment.workflow_summary)
    if has_steps and enrichment.step_by_step_results is not None:
        fields["step_by_step_results"] = _results(enrichment.step_by_step_results)
    return fields


def _steps(found: WorkflowSteps, *, has_steps: bool) -> dict[str, Any]:
    return {
        "current_step": found.current_step,
        "total_steps": found.total_steps,
        "steps": [_fields(step) for step in found.steps] if has_steps else [],
    }


def _results(found: Sequence[StepReport]) -> list[dict[str, Any]]:
    return [{**_fields(step), "success": step.success} for step in found]


def _fields(step: StepReport) -> dict[str, Any]:
    return {
        "step_id": step.step_id,
        "name": step.name,
        "status": step.status.value,
        "started_at": moment(step.started_at),
        "completed_at": moment(step.completed_at),
        "duration_seconds": step.duration_seconds,
        "result": step.result,
        "tools_used": step.tools_used,
        "tool_calls": step.tool_calls,
        "cost": money(step.cost_usd),
        "error": step.error,
    }


def _progress(progress: ProgressSummary) -> dict[str, Any]:
    estimate = progress.estimated_completion
    return {
        "completion_percentage": progress.completion_percentage,
        "estimated_completion": None if estimate is None else moment(estimate.at),
        "estimated_completion_spread": None if estimate is None else _spread(estimate),
        "current_phase": progress.current_phase,
        "recent_activity": progress.recent_activity,
    }


def _spread(estimate: Estimate) -> dict[str, Any]:
    return {
        "earliest": moment(estimate.earliest),
        "latest": moment(estimate.latest),
        "runs": estimate.runs,
    }


def _summary(summary: WorkflowSummary) -> dict[str, Any]:
    return {
        "total_steps_completed": summary.total_steps_completed,
        "success_rate": summary.success_rate,
        "major_achievements": summary.major_achievements,
        "files_modified": summary.files_modified,
        "tests_passed": summary.tests_passed,
        "tests_failed": summary.tests_failed,
        "deployment_ready": summary.deployment_ready,
    }
