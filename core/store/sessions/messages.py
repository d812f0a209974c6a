"""The messages of people and agents in sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.paging import PageKey
from core.domain.runs.session import Message, MessageNotFound
from core.store.runs.compare_and_set import time_literal
from core.store.tables.sessions import MessageRow


async def add(session: AsyncSession, message: Message) -> None:
    """Add a message."""
    await session.execute(
        insert(MessageRow).values(
            id=message.id,
            session_id=message.session_id,
            run_id=message.run_id,
            user_id=message.user_id,
            role=message.role,
            message_type=message.message_type,
            text_content=message.text_content,
            metadata_=dict(message.metadata),
            created_at=message.created_at,
        )
    )


async def of_session(session: AsyncSession, session_id: UUID) -> list[Message]:
    """List a session's messages, oldest first."""
    return await _list(session, select(MessageRow).where(MessageRow.session_id == session_id))


async def page(
    session: AsyncSession, session_id: UUID, *, after: PageKey | None, limit: int
) -> list[Message]:
    """The next messages of a session after a place in it, oldest first, at most `limit`."""
    query = select(MessageRow).where(MessageRow.session_id == session_id)
    if after is not None:
        at = time_literal(after.at)
        query = query.where(
            or_(
                MessageRow.created_at > at,
                and_(MessageRow.created_at == at, MessageRow.id > after.id),
            )
        )
    return await _list(session, query, limit=limit)


async def of_run(session: AsyncSession, run: UUID) -> list[Message]:
    """List a run's messages, oldest first."""
    return await _list(session, select(MessageRow).where(MessageRow.run_id == run))


async def merge_metadata(
    session: AsyncSession, message_id: UUID, patch: Mapping[str, Any]
) -> Message:
    """Set keys of a message's metadata; other keys stay.

    Raises:
        MessageNotFound: If no message has this id.
    """
    row: MessageRow | None = await session.scalar(
        update(MessageRow)
        .where(MessageRow.id == message_id)
        .values(metadata_=MessageRow.metadata_.concat(dict(patch)))
        .returning(MessageRow)
        .execution_options(synchronize_session=False)
    )
    if row is None:
        raise MessageNotFound(message_id)
    return row.to_message()


async def _list(
    session: AsyncSession, query: Select[MessageRow], *, limit: int | None = None
) -> list[Message]:
    rows = await session.scalars(query.order_by(MessageRow.created_at, MessageRow.id).limit(limit))
    return [row.to_message() for row in rows]
