"""Live runs of a kind, read to be ended together."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.request import RunFilter
from core.domain.runs.run import LIVE_STATUSES, Run
from core.store.runs.columns import to_run
from core.store.tables.runs import RunRow


async def find_oldest(
    session: AsyncSession,
    run_filter: RunFilter,
    *,
    user_id: UUID | None,
    include_stopping: bool,
    limit: int,
) -> tuple[list[Run], int]:
    """The oldest live runs that match, and how many match.

    `user_id` is who `mine` means; `None` means nobody's runs.  Those that are being stopped
    already are left out, unless they are wanted too.
    """
    query = select(RunRow, func.count().over()).where(*_matching(run_filter, user_id))
    if not include_stopping:
        query = query.where(RunRow.kill_requested_at.is_(None))
    rows = (await session.execute(query.order_by(RunRow.created_at, RunRow.id).limit(limit))).all()
    return [to_run(row) for row, _ in rows], rows[0][1] if rows else 0


async def count(
    session: AsyncSession, run_filter: RunFilter, *, user_id: UUID | None
) -> tuple[int, int]:
    """How many live runs match, and how many of them are being stopped."""
    row = (
        await session.execute(
            select(
                func.count(),
                func.count().filter(RunRow.kill_requested_at.is_not(None)),
            ).where(*_matching(run_filter, user_id))
        )
    ).one()
    return row[0], row[1]


async def by_ids(session: AsyncSession, run_ids: Sequence[str]) -> dict[str, Run]:
    """The runs with these ids, live or not."""
    rows = await session.scalars(select(RunRow).where(RunRow.run_id.in_(run_ids)))
    return {row.run_id: to_run(row) for row in rows}


def _matching(run_filter: RunFilter, user_id: UUID | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [RunRow.status.in_(sorted(LIVE_STATUSES))]
    if run_filter.mine:
        conditions.append(RunRow.user_id.is_not_distinct_from(user_id))
    if run_filter.workflow is not None:
        conditions.append(RunRow.workflow_name == run_filter.workflow)
    return conditions
