"""Sessions found by what people call them: a name, or the beginning of an id."""

from __future__ import annotations

import re
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.session import AmbiguousSession, Session, SessionNotFound
from core.domain.sessions.names import session_name_key
from core.store.tables.sessions import SessionRow

# Fewer digits of an id are more likely a word or a typing error.
MIN_ID_DIGITS = 4
_HEX_DIGITS = 32
_ID_BEGINNING = re.compile(r"[0-9a-f]{4,8}(?:-?[0-9a-f]{0,4}){0,3}(?:-?[0-9a-f]{0,12})?")
_MAX_MATCHES = 6


async def open_by_name(session: AsyncSession, name: str, *, user_id: UUID | None) -> Session | None:
    """The open session of an owner with this name; there is at most one.

    `None` as the owner means sessions without one.
    """
    row = await session.scalar(
        select(SessionRow).where(
            SessionRow.name_key == session_name_key(name),
            SessionRow.user_id.is_not_distinct_from(user_id),
            SessionRow.closed_at.is_(None),
        )
    )
    return None if row is None else row.to_session()


async def by_name(session: AsyncSession, name: str, *, user_id: UUID | None) -> Session | None:
    """The session that a person means by a name.

    It is first looked for among the person's own sessions: the open one, then the newest closed
    one.  Then it may be the name of somebody else's session.

    Raises:
        AmbiguousSession: If several people have sessions of this name, and this one has none.
    """
    named = SessionRow.name_key == session_name_key(name)
    own = SessionRow.user_id.is_not_distinct_from(user_id)
    mine = await _newest(session, named, own, limit=1)
    if mine:
        return mine[0]
    found = await _newest(session, named, SessionRow.closed_at.is_(None), limit=_MAX_MATCHES)
    found = found or await _newest(session, named, limit=_MAX_MATCHES)
    return _only(found, name)


async def by_id_beginning(session: AsyncSession, text: str) -> Session | None:
    """The session whose id begins with a text, with or without hyphens.

    Raises:
        AmbiguousSession: If several ids do.
    """
    bounds = id_bounds(text)
    if bounds is None:
        return None
    found = await _newest(session, SessionRow.id.between(*bounds), limit=_MAX_MATCHES)
    return _only(found, text)


async def find(session: AsyncSession, target: str, *, user_id: UUID | None) -> Session:
    """The session that a person means by a name or the beginning of an id.

    Raises:
        SessionNotFound: If there is none.
        AmbiguousSession: If several are meant equally.
    """
    found = await by_name(session, target, user_id=user_id)
    found = found or await by_id_beginning(session, target)
    if found is None:
        raise SessionNotFound(target[:100])
    return found


def id_bounds(text: str) -> tuple[UUID, UUID] | None:
    """The smallest and the largest id that begin with a text; `None` if no id does.  Pure."""
    given = text.strip().lower()
    if not _ID_BEGINNING.fullmatch(given):
        return None
    digits = given.replace("-", "")
    if not MIN_ID_DIGITS <= len(digits) <= _HEX_DIGITS:
        return None
    return UUID(digits.ljust(_HEX_DIGITS, "0")), UUID(digits.ljust(_HEX_DIGITS, "f"))


def _only(found: list[Session], target: str) -> Session | None:
    if len(found) > 1:
        raise AmbiguousSession(target, tuple(one.id for one in found))
    return found[0] if found else None


async def _newest(
    session: AsyncSession, *conditions: ColumnElement[bool], limit: int
) -> list[Session]:
    """The sessions that fulfil the conditions: open ones first, each kind newest first."""
    rows = await session.scalars(
        select(SessionRow)
        .where(*conditions)
        .order_by(SessionRow.closed_at.is_not(None), SessionRow.created_at.desc(), SessionRow.id)
        .limit(limit)
    )
    return [row.to_session() for row in rows]
