"""The runs of a workflow that completed, with which a running one is compared."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.progress.enrichment import past_run
from core.domain.progress.estimate import PastRun
from core.domain.runs.run import RunStatus
from core.store import steps
from core.store.runs.columns import to_run
from core.store.tables.runs import RunRow

# The newest runs of the workflow that are looked at, and those of them that are compared.
_MAX_LOOKED_AT = 300
_MAX_COMPARED = 50


async def of_workflow(session: AsyncSession, workflow_name: str) -> list[PastRun]:
    """The last completed runs of a workflow whose times are known, newest first; at most 50."""
    newest = (
        select(RunRow)
        .where(RunRow.workflow_name == workflow_name)
        .order_by(RunRow.created_at.desc())
        .limit(_MAX_LOOKED_AT)
        .subquery()
    )
    row = aliased(RunRow, newest)
    rows = await session.scalars(
        select(row)
        .where(row.status == RunStatus.COMPLETED)
        .order_by(row.created_at.desc())
        .limit(_MAX_COMPARED)
    )
    completed = [to_run(found) for found in rows]
    steps_by_run = await steps.of_runs(session, [run.id for run in completed])
    past = (past_run(run, steps_by_run.get(run.id, ())) for run in completed)
    return [run for run in past if run is not None]
