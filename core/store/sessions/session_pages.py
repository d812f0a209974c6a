"""Lists of sessions, page by page: newest first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.paging import PageKey
from core.domain.runs.run import Run
from core.domain.runs.session import Session
from core.domain.sessions.names import session_name_key
from core.store.runs.columns import to_run
from core.store.runs.compare_and_set import time_literal
from core.store.tables.runs import RunRow
from core.store.tables.sessions import SessionRow

# The newest runs, among which the sessions that were used last are found.
_MAX_LOOKED_AT = 1_000


@dataclass(frozen=True, kw_only=True)
class SessionChoice:
    """Which sessions a list has: those of a person, with a name, or that are open or closed."""

    is_mine: bool = False
    user_id: UUID | None = None
    name: str | None = None
    is_open: bool | None = None


async def page(
    session: AsyncSession, choice: SessionChoice, *, after: PageKey | None, limit: int
) -> list[Session]:
    """The next sessions after a place in the list, at most `limit`."""
    query = select(SessionRow).where(*_conditions(choice))
    if after is not None:
        at = time_literal(after.at)
        query = query.where(
            SessionRow.created_at <= at,
            or_(
                SessionRow.created_at < at,
                and_(SessionRow.created_at == at, SessionRow.id > after.id),
            ),
        )
    rows = await session.scalars(
        query.order_by(SessionRow.created_at.desc(), SessionRow.id).limit(limit)
    )
    return [row.to_session() for row in rows]


async def count(session: AsyncSession, choice: SessionChoice, *, at_most: int) -> int:
    """Count the sessions of all pages, up to `at_most`."""
    found = select(SessionRow.id).where(*_conditions(choice)).limit(at_most).subquery()
    return await session.scalar(select(func.count()).select_from(found)) or 0


async def recently_used(
    session: AsyncSession, choice: SessionChoice, *, limit: int
) -> list[Session]:
    """The sessions with the newest runs, the last used one first, at most `limit`.

    Only the newest runs of all are looked at, so that sessions of long ago cost nothing.
    """
    newest = (
        select(RunRow.session_id, RunRow.created_at)
        .join(SessionRow, SessionRow.id == RunRow.session_id)
        .where(*_conditions(choice))
        .order_by(RunRow.created_at.desc())
        .limit(_MAX_LOOKED_AT)
        .subquery()
    )
    used = (
        select(newest.c.session_id, func.max(newest.c.created_at).label("at"))
        .group_by(newest.c.session_id)
        .subquery()
    )
    rows = await session.scalars(
        select(SessionRow)
        .join(used, used.c.session_id == SessionRow.id)
        .order_by(used.c.at.desc(), SessionRow.id)
        .limit(limit)
    )
    return [row.to_session() for row in rows]


async def newest_runs(session: AsyncSession, session_ids: Collection[UUID]) -> dict[UUID, Run]:
    """The newest run of each of the sessions that has any."""
    rows = await session.scalars(
        select(RunRow)
        .where(RunRow.session_id.in_(list(session_ids)))
        # Of runs created at the same moment, one with a parent is the later one.
        .order_by(
            RunRow.session_id,
            RunRow.created_at.desc(),
            RunRow.parent_run_id.is_(None),
            RunRow.id.desc(),
        )
        .ext(distinct_on(RunRow.session_id))
    )
    return {row.session_id: to_run(row) for row in rows}


def _conditions(choice: SessionChoice) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if choice.is_mine:
        conditions.append(SessionRow.user_id.is_not_distinct_from(choice.user_id))
    if choice.name is not None:
        conditions.append(SessionRow.name_key == session_name_key(choice.name))
    if choice.is_open is not None:
        closed = SessionRow.closed_at
        conditions.append(closed.is_(None) if choice.is_open else closed.is_not(None))
    return conditions
