"""Failed attempts of runs, and what became of the retries after them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.failures.failed_attempt import FailedAttempt, decision_to_json
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import (
    HISTORY_WINDOW,
    MIN_HISTORY,
    RetryAction,
    RetryHistory,
)
from core.domain.runs.run import Run, RunStatus
from core.store.tables.failures import FailureRow
from core.store.tables.runs import RunRow

# Some of the newest retries have no outcome yet.
_MAX_READ = 4 * MIN_HISTORY


async def record(session: AsyncSession, run: Run, failed: FailedAttempt) -> None:
    """Add the failure of an attempt; a repeated record of the same attempt replaces it.

    Call it in the transaction that ends the attempt.
    """
    clean = failed.redacted()
    values = {
        "workflow_name": run.workflow_name,
        "failed_at": clean.at,
        "failure_class": clean.failure_class,
        "stop_reason": clean.stop_reason,
        "cause": clean.cause,
        "subject": clean.subject,
        "error": clean.error,
        "evidence": dict(clean.evidence),
        "advice": clean.advice,
        "resets_at": clean.resets_at,
        "turns": clean.turns,
        "action": clean.decision.action,
        "decision": decision_to_json(clean.decision),
    }
    await session.execute(
        insert(FailureRow)
        .values(run_id=run.id, attempt=clean.attempt, **values)
        .on_conflict_do_update(index_elements=["run_id", "attempt"], set_=values)
    )


async def of_run(session: AsyncSession, run: UUID) -> list[FailedAttempt]:
    """List the failed attempts of a run, oldest first."""
    rows = await session.scalars(
        select(FailureRow).where(FailureRow.run_id == run).order_by(FailureRow.attempt)
    )
    return [row.to_failed_attempt() for row in rows]


async def history(
    session: AsyncSession, workflow_name: str, failure_class: FailureClass, *, now: datetime
) -> RetryHistory:
    """How the last retries of a class on a workflow came out, whichever runs they belong to.

    A retry has helped if the run failed for something else later, or has completed.  One whose run
    goes on or was killed meanwhile says nothing.
    """
    later = aliased(FailureRow)
    next_class = (
        select(later.failure_class)
        .where(later.run_id == FailureRow.run_id, later.attempt > FailureRow.attempt)
        .order_by(later.attempt)
        .limit(1)
        .scalar_subquery()
    )
    rows = await session.execute(
        select(next_class.label("next_class"), RunRow.status)
        .select_from(FailureRow)
        .join(RunRow, RunRow.id == FailureRow.run_id)
        .where(
            FailureRow.action == RetryAction.RETRY,
            FailureRow.workflow_name == workflow_name,
            FailureRow.failure_class == failure_class,
            FailureRow.failed_at >= now - HISTORY_WINDOW,
        )
        .order_by(FailureRow.failed_at.desc())
        .limit(_MAX_READ)
    )
    return RetryHistory.of(
        row.next_class != failure_class
        for row in rows
        if row.next_class is not None or row.status == RunStatus.COMPLETED
    )
