"""The runs that restart other runs."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.restarts.origin import RESTART_KEY
from core.domain.runs.run import Run
from core.store.runs.columns import to_run
from core.store.tables.runs import RunRow


async def of_runs(session: AsyncSession, runs: Collection[UUID]) -> list[Run]:
    """The restarts of these runs, oldest first."""
    if not runs:
        return []
    rows = await session.scalars(
        select(RunRow)
        .where(RunRow.parent_run_id.in_(list(runs)), RunRow.metadata_.has_key(RESTART_KEY))
        .order_by(RunRow.created_at, RunRow.id)
    )
    return [to_run(row) for row in rows]
