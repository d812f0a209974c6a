"""The enrichment of a status: everything beyond the row of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.enrichment import Enrichment, ProgressSummary, WorkflowSummary
from core.domain.runs.outcome import TESTS_KEY
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.step import Step, StepStatus


async def enrich(
    session: AsyncSession,  # noqa: ARG001
    run: Run,
    plan: Sequence[Step],
    *,
    now: datetime,  # noqa: ARG001
) -> Enrichment:
    """Read what a status says about a run beyond its row.

    A status is useful without it: if this fails, the caller answers what it has, with a warning.

    Args:
        session: An open session, in the transaction in which the run was read.
        run: The run.
        plan: Its stored steps, in their order.
        now: The present time, for estimates.
    """
    return Enrichment(
        steps=tuple(plan),
        progress=_progress(run, plan) if run.status is RunStatus.RUNNING else None,
        final_result=run.result if run.status is RunStatus.COMPLETED else None,
        summary=_summary(run, plan) if run.status is RunStatus.COMPLETED else None,
    )


def _progress(run: Run, found: Sequence[Step]) -> ProgressSummary:
    planned = [step for step in found if step.status is not StepStatus.SKIPPED]
    done = sum(step.status is StepStatus.COMPLETED for step in planned)
    current = next((step for step in found if step.status is StepStatus.IN_PROGRESS), None)
    return ProgressSummary(
        completion_percentage=round(100 * done / len(planned), 1) if planned else None,
        current_phase=None if current is None else current.name,
        recent_activity=run.last_activity,
    )


def _summary(run: Run, found: Sequence[Step]) -> WorkflowSummary:
    return WorkflowSummary(
        total_steps_completed=sum(step.status is StepStatus.COMPLETED for step in found),
        files_modified=None if run.diff is None else run.diff.file_count,
        tests_passed=_tests_passed(run.metadata.get(TESTS_KEY)),
    )


def _tests_passed(stored: object) -> int | None:
    passed = stored.get("passed") if isinstance(stored, Mapping) else None
    return passed if isinstance(passed, int) and not isinstance(passed, bool) else None
