"""Lists of runs, page by page: newest first, with any combination of conditions."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.paging import PageKey
from core.domain.runs.run import Run
from core.domain.runs.search import RunSearch
from core.store.runs.columns import to_run
from core.store.runs.compare_and_set import time_literal
from core.store.tables.runs import RunRow


async def page(
    session: AsyncSession,
    search: RunSearch,
    *,
    user_id: UUID | None,
    after: PageKey | None,
    limit: int,
) -> list[Run]:
    """The next runs after a place in the list, at most `limit`.

    `user_id` is the person whose runs `is_mine` means; `None` means runs without an owner.
    """
    query = select(RunRow).where(*_conditions(search, user_id))
    if after is not None:
        at = time_literal(after.at)
        # The first condition is for the index, the second for runs of the same moment.
        query = query.where(
            RunRow.created_at <= at,
            or_(RunRow.created_at < at, and_(RunRow.created_at == at, RunRow.id > after.id)),
        )
    rows = await session.scalars(query.order_by(RunRow.created_at.desc(), RunRow.id).limit(limit))
    return [to_run(row) for row in rows]


async def count(
    session: AsyncSession, search: RunSearch, *, user_id: UUID | None, at_most: int
) -> int:
    """Count the runs of all pages, up to `at_most`."""
    found = select(RunRow.id).where(*_conditions(search, user_id)).limit(at_most).subquery()
    return await session.scalar(select(func.count()).select_from(found)) or 0


def _conditions(search: RunSearch, user_id: UUID | None) -> list[ColumnElement[bool]]:
    equal = {
        RunRow.workflow_name: search.workflow,
        RunRow.session_id: search.session_id,
        RunRow.git_repo: search.repository,
        RunRow.git_branch: search.branch,
        RunRow.stop_reason: search.stop_reason,
        RunRow.outcome: search.outcome,
    }
    conditions: list[ColumnElement[bool]] = [
        column == value for column, value in equal.items() if value is not None
    ]
    if search.statuses:
        conditions.append(RunRow.status.in_(sorted(search.statuses)))
    if search.is_mine:
        conditions.append(RunRow.user_id.is_not_distinct_from(user_id))
    if search.since is not None:
        conditions.append(RunRow.created_at >= time_literal(search.since))
    if search.until is not None:
        conditions.append(RunRow.created_at < time_literal(search.until))
    return conditions
