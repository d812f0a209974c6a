"""The messages of people and agents in sessions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Select, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.paging import PageKey
from core.domain.runs.session import Message, MessageNotFound, MessageType
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
    session: AsyncSession,
    session_id: UUID,
    *,
    after: PageKey | None = None,
    before: PageKey | None = None,
    from_end: bool = False,
    types: Collection[MessageType] = (),
    limit: int,
) -> list[Message]:
    """Messages of a session at a place in it, oldest first, at most `limit`.

    Args:
        session: An open database session.
        session_id: The session.
        after: Only messages after this place.
        before: Only messages before this place.
        from_end: Whether the last ones of those are taken, not the first ones.
        types: Only messages of these types; none for all.
        limit: The most messages.
    """
    query = select(MessageRow).where(MessageRow.session_id == session_id)
    place = tuple_(MessageRow.created_at, MessageRow.id)
    if types:
        query = query.where(MessageRow.message_type.in_(sorted(types)))
    if after is not None:
        query = query.where(place > tuple_(time_literal(after.at), literal(after.id)))
    if before is not None:
        query = query.where(place < tuple_(time_literal(before.at), literal(before.id)))
    if not from_end:
        return await _list(session, query, limit=limit)
    rows = await session.scalars(
        query.order_by(MessageRow.created_at.desc(), MessageRow.id.desc()).limit(limit)
    )
    return [row.to_message() for row in rows][::-1]


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
