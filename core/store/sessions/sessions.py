"""Sessions, each of which is one Claude conversation."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict, Unpack
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.session import Session, SessionNotFound
from core.domain.sessions.names import SessionNameTaken, session_name_key
from core.store.tables.sessions import SessionRow


class SessionChanges(TypedDict, total=False):
    """New values of fields of a `Session`, by their names there; one left out stays."""

    name: str | None
    user_id: UUID | None
    git_repo: str | None
    git_branch: str | None
    workspace_id: str | None
    workspace_node: str | None
    closed_at: datetime | None


async def add(session: AsyncSession, conversation: Session) -> None:
    """Add a session.

    Raises:
        SessionNameTaken: If an open session of its owner has its name.
    """
    try:
        await session.execute(
            insert(SessionRow).values(
                id=conversation.id,
                agent_name=conversation.agent_name,
                name=conversation.name,
                name_key=_key_of(conversation.name),
                user_id=conversation.user_id,
                git_repo=conversation.git_repo,
                git_branch=conversation.git_branch,
                workspace_id=conversation.workspace_id,
                workspace_node=conversation.workspace_node,
                created_at=conversation.created_at,
                closed_at=conversation.closed_at,
            )
        )
    except IntegrityError as error:
        raise _taken(error, conversation.name) from error


async def get(session: AsyncSession, session_id: UUID) -> Session:
    """Return the session with this id.

    Raises:
        SessionNotFound: If there is none.
    """
    row = await session.scalar(select(SessionRow).where(SessionRow.id == session_id))
    if row is None:
        raise SessionNotFound(session_id)
    return row.to_session()


async def change(
    session: AsyncSession, session_id: UUID, **changes: Unpack[SessionChanges]
) -> Session:
    """Change fields of a session.

    Raises:
        SessionNotFound: If there is none with this id.
        SessionNameTaken: If an open session of its owner has its name.
    """
    values: dict[str, object] = dict(changes)
    if "name" in changes:
        values["name_key"] = _key_of(changes["name"])
    try:
        row: SessionRow | None = await session.scalar(
            update(SessionRow)
            .where(SessionRow.id == session_id)
            .values(**values)
            .returning(SessionRow)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
    except IntegrityError as error:
        raise _taken(error, changes.get("name")) from error
    if row is None:
        raise SessionNotFound(session_id)
    return row.to_session()


def _key_of(name: str | None) -> str | None:
    return None if name is None else session_name_key(name)


def _taken(error: IntegrityError, name: str | None) -> Exception:
    """The error that a person understands, if it is about the name."""
    is_name = "uq_sessions_open_name" in str(error.orig)
    return SessionNameTaken(name or "") if is_name else error
