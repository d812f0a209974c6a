"""Sessions, each of which is one Claude conversation."""

from __future__ import annotations

from typing import TypedDict, Unpack
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.session import Session, SessionNotFound
from core.store.tables.sessions import SessionRow


class SessionChanges(TypedDict, total=False):
    """New values of fields of a `Session`, by their names there; one left out stays."""

    name: str | None
    user_id: UUID | None
    git_repo: str | None
    git_branch: str | None
    workspace_id: str | None
    workspace_node: str | None


async def add(session: AsyncSession, conversation: Session) -> None:
    """Add a session."""
    await session.execute(
        insert(SessionRow).values(
            id=conversation.id,
            agent_name=conversation.agent_name,
            name=conversation.name,
            user_id=conversation.user_id,
            git_repo=conversation.git_repo,
            git_branch=conversation.git_branch,
            workspace_id=conversation.workspace_id,
            workspace_node=conversation.workspace_node,
            created_at=conversation.created_at,
        )
    )


async def get(session: AsyncSession, session_id: UUID) -> Session:
    """Return the session with this id.

    Raises:
        SessionNotFound: If there is none.
    """
    row = await session.scalar(select(SessionRow).where(SessionRow.id == session_id))
    if row is None:
        raise SessionNotFound(session_id)
    return row.to_session()


async def find_by_name(session: AsyncSession, name: str, *, user_id: UUID | None) -> Session | None:
    """Find a person's newest session with a name; `None` means sessions without an owner."""
    row = await session.scalar(
        select(SessionRow)
        .where(SessionRow.name == name, SessionRow.user_id.is_not_distinct_from(user_id))
        .order_by(SessionRow.created_at.desc(), SessionRow.id)
        .limit(1)
    )
    return None if row is None else row.to_session()


async def change(
    session: AsyncSession, session_id: UUID, **changes: Unpack[SessionChanges]
) -> Session:
    """Change fields of a session.

    Raises:
        SessionNotFound: If there is none with this id.
    """
    row: SessionRow | None = await session.scalar(
        update(SessionRow)
        .where(SessionRow.id == session_id)
        .values(**changes)
        .returning(SessionRow)
        .execution_options(synchronize_session=False)
    )
    if row is None:
        raise SessionNotFound(session_id)
    return row.to_session()
