"""What a status says beyond the row of its run: steps, progress, and the result with evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.domain.runs.step import Step


@dataclass(frozen=True, kw_only=True)
class ProgressSummary:
    """How far a running run is; what is unknown is `None`.

    Attributes:
        completion_percentage: From 0 to 100.
        current_phase: The name of the step in progress.
        recent_activity: What the agent did last, in words.
    """

    completion_percentage: float | None = None
    estimated_completion: datetime | None = None
    current_phase: str | None = None
    recent_activity: str | None = None


@dataclass(frozen=True, kw_only=True)
class WorkflowSummary:
    """What came out of a completed run, from evidence only; what is unknown is `None`.

    Attributes:
        success_rate: From 0 to 100.
        tests_passed: Of the last test run that was seen.
    """

    total_steps_completed: int
    success_rate: float | None = None
    major_achievements: tuple[str, ...] | None = None
    files_modified: int | None = None
    tests_passed: int | None = None
    deployment_ready: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Enrichment:
    """The additions to a status.

    Attributes:
        progress: Only of a running run.
        final_result: Only of a completed run; `None` if it said nothing.
        summary: Only of a completed run.
    """

    steps: tuple[Step, ...] = field(default_factory=tuple)
    progress: ProgressSummary | None = None
    final_result: str | None = None
    summary: WorkflowSummary | None = None
