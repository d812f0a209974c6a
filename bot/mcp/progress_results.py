"""The steps, the progress and the summary of a run, as the tools' results have them.

The names and meanings are those of the HTTP API's status.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from core.domain.progress.enrichment import ProgressSummary, StepReport
from core.domain.progress.summary import WorkflowSummary
from core.domain.runs.step import StepStatus


class Result(BaseModel):
    """The result of one tool, or a part of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StepResult(Result):
    """One step of the agent's plan, or what stands in for it.

    Attributes:
        duration_seconds: Until its end, or until now while it is in progress.
        result: What the agent said last in a completed step.
        cost: US dollars.
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


class SpreadResult(Result):
    """How certain an estimated end is: a quarter of comparable runs ends before and after it."""

    earliest: datetime
    latest: datetime
    runs: int


class ProgressResult(Result):
    """How far a live run is.

    Attributes:
        completion_percentage: From 0 to 100.
        estimated_completion: From what comparable earlier runs took.
        current_phase: The name of the step in progress.
        recent_activity: What the agent does, or did last, in words.
    """

    completion_percentage: float | None
    estimated_completion: datetime | None
    estimated_completion_spread: SpreadResult | None
    current_phase: str | None
    recent_activity: str | None


class SummaryResult(Result):
    """What came out of an ended run, from evidence.

    Attributes:
        success_rate: The completed share of its plan, from 0 to 100.
        major_achievements: From the agent's own list.
    """

    total_steps_completed: int | None
    success_rate: float | None
    major_achievements: list[str] | None
    files_modified: int | None
    tests_passed: int | None
    tests_failed: int | None
    deployment_ready: bool | None


def step_result(step: StepReport) -> StepResult:
    """A step."""
    return StepResult(
        step_id=step.step_id,
        name=step.name,
        status=step.status,
        started_at=step.started_at,
        completed_at=step.completed_at,
        duration_seconds=step.duration_seconds,
        result=step.result,
        tools_used=list(step.tools_used),
        tool_calls=step.tool_calls,
        cost=None if step.cost_usd is None else float(step.cost_usd),
        error=step.error,
    )


def progress_result(progress: ProgressSummary) -> ProgressResult:
    """How far a live run is."""
    found = progress.estimated_completion
    return ProgressResult(
        completion_percentage=progress.completion_percentage,
        estimated_completion=None if found is None else found.at,
        estimated_completion_spread=None
        if found is None
        else SpreadResult(earliest=found.earliest, latest=found.latest, runs=found.runs),
        current_phase=progress.current_phase,
        recent_activity=progress.recent_activity,
    )


def summary_result(summary: WorkflowSummary) -> SummaryResult:
    """What came out of an ended run."""
    achieved = summary.major_achievements
    return SummaryResult(
        total_steps_completed=summary.total_steps_completed,
        success_rate=summary.success_rate,
        major_achievements=None if achieved is None else list(achieved),
        files_modified=summary.files_modified,
        tests_passed=summary.tests_passed,
        tests_failed=summary.tests_failed,
        deployment_ready=summary.deployment_ready,
    )
