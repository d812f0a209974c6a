"""Lists of runs, page by page: newest first, with any combination of conditions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.paging import PageKey
from core.domain.runs.run import Run
from core.domain.runs.search import RunSearch
from core.store.runs.columns import READ_COLUMNS, run_of
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
    session_rows = await session.execute(page_query(search, user_id, after, limit))
    return [run_of(dict(row)) for row in session_rows.mappings()]


def page_query(
    search: RunSearch, user_id: UUID | None, after: PageKey | None, limit: int
) -> Select[Any]:
    """The query of `page`, for the columns of runs."""
    # Rows, not entities: a page of these takes half the time.
    query = select(*_COLUMNS).where(*_conditions(search, user_id))
    if after is not None:
        at = time_literal(after.at)
        # The first condition is for the index, the second for runs of the same moment.
        query = query.where(
            RunRow.created_at <= at,
            or_(RunRow.created_at < at, and_(RunRow.created_at == at, RunRow.id > after.id)),
        )
    return query.order_by(RunRow.created_at.desc(), RunRow.id).limit(limit)


async def count(
    session: AsyncSession, search: RunSearch, *, user_id: UUID | None, at_most: int
) -> int:
    """Count the runs of all pages, up to `at_most`."""
    return await session.scalar(count_query(search, user_id, at_most)) or 0


def count_query(search: RunSearch, user_id: UUID | None, at_most: int) -> Select[int]:
    """The query of `count`.  It needs no value of any row, so that an index may be enough."""
    found = select(literal(1)).select_from(RunRow).where(*_conditions(search, user_id))
    return select(func.count()).select_from(found.limit(at_most).subquery())


_COLUMNS = tuple(
    getattr(RunRow.__table__.c, column).label(field) for column, field in READ_COLUMNS.items()
)


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
        # No index serves `IS NOT DISTINCT FROM`.
        conditions.append(
            RunRow.user_id.is_(None) if user_id is None else RunRow.user_id == user_id
        )
    if search.since is not None:
        conditions.append(RunRow.created_at >= time_literal(search.since))
    if search.until is not None:
        conditions.append(RunRow.created_at < time_literal(search.until))
    return conditions
