"""Names of sessions: given, moved, freed when a session is closed, and held again afterwards."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.audit import AuditEntry
from core.domain.runs.session import Session
from core.domain.sessions.names import SessionNameTaken, clean_session_name
from core.services.context import require_permission
from core.store import audit
from core.store.runs import run_queries
from core.store.sessions import found_sessions, sessions


async def rename(
    session: AsyncSession, known: Session, name: str | None, *, by: Actor, now: datetime
) -> Session:
    """Give a session another name, or none.

    Raises:
        NotAllowed: If it is somebody else's, and the person is no operator.
        BadRequest: If no session can have this name.
        SessionNameTaken: If another open session of its owner has it.
    """
    await _require_owner(session, known, by)
    clean = None if name is None else clean_session_name(name)
    if clean is not None and known.is_open:
        holder = await found_sessions.open_by_name(session, clean, user_id=known.user_id)
        if holder is not None and holder.id != known.id:
            raise SessionNameTaken(clean)
    changed = await sessions.change(session, known.id, name=clean)
    await _record(session, "rename_session", known, by, now, name=clean)
    return changed


async def close(session: AsyncSession, known: Session, *, by: Actor, now: datetime) -> Session:
    """Close a session: its name is free, and it can still be continued.

    Raises:
        NotAllowed: If it is somebody else's, and the person is no operator.
    """
    await _require_owner(session, known, by)
    if not known.is_open:
        return known
    changed = await sessions.change(session, known.id, closed_at=now)
    await _record(session, "close_session", known, by, now)
    return changed


async def open_again(session: AsyncSession, known: Session, *, by: Actor, now: datetime) -> Session:
    """Open a closed session by hand.

    Raises:
        NotAllowed: If it is somebody else's, and the person is no operator.
        SessionNameTaken: If another open session of its owner has its name by now.
    """
    await _require_owner(session, known, by)
    if known.is_open:
        return known
    if known.name is not None:
        holder = await found_sessions.open_by_name(session, known.name, user_id=known.user_id)
        if holder is not None:
            raise SessionNameTaken(known.name)
    changed = await sessions.change(session, known.id, closed_at=None)
    await _record(session, "open_session", known, by, now)
    return changed


async def reopen(session: AsyncSession, known: Session) -> Session:
    """Open a session because it goes on; without its name, if another one has that by now."""
    if known.is_open:
        return known
    if known.name is not None:
        holder = await found_sessions.open_by_name(session, known.name, user_id=known.user_id)
        if holder is not None:
            return await sessions.change(session, known.id, closed_at=None, name=None)
    return await sessions.change(session, known.id, closed_at=None)


async def _require_owner(session: AsyncSession, known: Session, by: Actor) -> None:
    """Raise `NotAllowed` unless the person may continue the session's first run."""
    legs = await run_queries.legs_of_session(session, known.id)
    require_permission(by, Action.CONTINUE, legs[0] if legs else None)


async def _record(
    session: AsyncSession,
    action: str,
    known: Session,
    by: Actor,
    now: datetime,
    **details: object,
) -> None:
    entry = AuditEntry(
        at=now,
        actor=by,
        action=action,
        allowed=True,
        details={"session_id": str(known.id), "former_name": known.name, **details},
    )
    await audit.record(session, entry)
