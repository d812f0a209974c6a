"""Lists of runs, page by page: newest first, with any combination of conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from core.domain.paging import PageKey
from core.domain.runs.run import LIVE_STATUSES, WAITING_ON_A_PERSON, Run
from core.domain.runs.search import RunSearch
from core.store.runs.columns import READ_COLUMNS, run_of
from core.store.runs.compare_and_set import time_literal
from core.store.tables.runs import RunRow


@dataclass(frozen=True, kw_only=True)
class Whose:
    """People whom a search names, by their ids.

    Attributes:
        asker: The person whose runs `is_mine` means; `None` means runs without an owner.
        owners: Those whom `owner` means.
    """

    asker: UUID | None = None
    owners: Sequence[UUID] = ()


async def page(
    session: AsyncSession,
    search: RunSearch,
    *,
    whose: Whose,
    after: PageKey | None,
    limit: int,
) -> list[Run]:
    """The next runs after a place in the list, at most `limit`."""
    session_rows = await session.execute(page_query(search, whose, after, limit))
    return [run_of(dict(row)) for row in session_rows.mappings()]


def page_query(search: RunSearch, whose: Whose, after: PageKey | None, limit: int) -> Select[Any]:
    """The query of `page`, for the columns of runs."""
    # Which runs they are needs no value of any row, so that an index may be enough.
    found = select(RunRow.id).where(*_conditions(search, whose), *_after(after)).order_by(*_ORDER)
    if search.text is not None:
        window = _window(search, whose, after).subquery()
        found = (
            select(window.c.id)
            .where(_has_text(window.c, search.text))
            .order_by(window.c.created_at.desc(), window.c.id)
        )
    # Rows, not entities: a page of these takes half the time.
    return select(*_COLUMNS).where(RunRow.id.in_(found.limit(limit))).order_by(*_ORDER)


async def window_end(
    session: AsyncSession, search: RunSearch, *, whose: Whose, after: PageKey | None
) -> PageKey | None:
    """The last run that a search for a text looked through; `None` if there are no others."""
    ends = await session.execute(
        select(RunRow.created_at, RunRow.id)
        .where(*_conditions(search, whose), *_after(after))
        .order_by(*_ORDER)
        .offset(search.text_window - 1)
        .limit(2)
    )
    found = ends.all()
    return PageKey(at=found[0].created_at, id=found[0].id) if len(found) > 1 else None


async def count(session: AsyncSession, search: RunSearch, *, whose: Whose, at_most: int) -> int:
    """Count the runs of all pages, up to `at_most`; with a text those of the newest window."""
    return await session.scalar(count_query(search, whose, at_most)) or 0


def count_query(search: RunSearch, whose: Whose, at_most: int) -> Select[int]:
    """The query of `count`.  It needs no value of any row, so that an index may be enough."""
    found = select(literal(1)).select_from(RunRow).where(*_conditions(search, whose))
    if search.text is not None:
        window = _window(search, whose, None).subquery()
        found = select(literal(1)).select_from(window).where(_has_text(window.c, search.text))
    return select(func.count()).select_from(found.limit(at_most).subquery())


def _window(search: RunSearch, whose: Whose, after: PageKey | None) -> Select[*tuple[Any, ...]]:
    """The runs that a page of a search for a text looks through."""
    return (
        select(RunRow.id, RunRow.created_at, RunRow.run_id, RunRow.task_input)
        .where(*_conditions(search, whose), *_after(after))
        .order_by(*_ORDER)
        .limit(search.text_window)
    )


def _has_text(columns: ReadOnlyColumnCollection[str, Any], text: str) -> ColumnElement[bool]:
    return or_(
        columns.task_input.icontains(text, autoescape=True),
        columns.run_id.startswith(text, autoescape=True),
    )


def _after(key: PageKey | None) -> list[ColumnElement[bool]]:
    if key is None:
        return []
    at = time_literal(key.at)
    # The first condition is for the index, the second for runs of the same moment.
    return [
        RunRow.created_at <= at,
        or_(RunRow.created_at < at, and_(RunRow.created_at == at, RunRow.id > key.id)),
    ]


_ORDER = (RunRow.created_at.desc(), RunRow.id)
_COLUMNS = tuple(
    getattr(RunRow.__table__.c, column).label(field) for column, field in READ_COLUMNS.items()
)


def _conditions(search: RunSearch, whose: Whose) -> list[ColumnElement[bool]]:
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
    if search.is_waiting:
        # No run that has ended waits; the first condition is for the index.
        conditions.append(RunRow.status.in_(sorted(LIVE_STATUSES)))
        conditions.append(RunRow.waiting_on.in_(sorted(WAITING_ON_A_PERSON)))
    if search.is_mine:
        # No index serves `IS NOT DISTINCT FROM`.
        conditions.append(
            RunRow.user_id.is_(None) if whose.asker is None else RunRow.user_id == whose.asker
        )
    if search.owner is not None:
        conditions.append(RunRow.user_id.in_(list(whose.owners)))
    if search.since is not None:
        conditions.append(RunRow.created_at >= time_literal(search.since))
    if search.until is not None:
        conditions.append(RunRow.created_at < time_literal(search.until))
    return conditions
