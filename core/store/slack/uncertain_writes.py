"""Messages that Slack may still change late: which to check again, and when."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, delete, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.drawables import (
    DrawableId,
    SlackMessageState,
    UncertainWrite,
    UncertainWriteKind,
)
from core.store.slack.drawables import open_of_team
from core.store.tables.drawables import DrawableRow
from core.store.tables.slack import SlackMessageRow, UncertainWriteRow

_KEY = ("drawable_kind", "thread_key", "slot", "kind")


async def add(session: AsyncSession, write: UncertainWrite) -> None:
    """Store an uncertain write; storing it again replaces its due time."""
    statement = insert(UncertainWriteRow).values(
        **{name: getattr(write, name) for name in (*_KEY, "due_at")}
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=_KEY, set_={"due_at": statement.excluded.due_at}
        )
    )


async def add_for_open(
    session: AsyncSession,
    *,
    team_id: str,
    heads: Collection[str],
    changed_since: datetime,
    due_at: datetime,
    now: datetime,
) -> None:
    """Mark the messages as uncertain that the previous drawer may have been changing.

    These are the recently changed messages of open drawables, and the first message of every
    open drawable.  Slack may execute a call of a process that died after the calls of the next
    drawer.

    Args:
        session: An open database session.
        team_id: The workspace.
        heads: The slots of first messages.
        changed_since: Changes after this time count as recent.
        due_at: When to check the messages again.
        now: The current time.
    """
    messages = select(
        SlackMessageRow.drawable_kind,
        SlackMessageRow.thread_key,
        SlackMessageRow.slot,
        literal(UncertainWriteKind.OVERWRITTEN.value),
        literal(due_at, type_=UncertainWriteRow.due_at.type),
    ).where(
        tuple_(SlackMessageRow.drawable_kind, SlackMessageRow.thread_key).in_(
            open_of_team(team_id, now=now)
        ),
        SlackMessageRow.state == SlackMessageState.SHOWN,
        or_(SlackMessageRow.slot.in_(sorted(heads)), SlackMessageRow.updated_at >= changed_since),
        # A posted file never changes.
        SlackMessageRow.slot.not_like("file:%"),
    )
    statement = insert(UncertainWriteRow).from_select([*_KEY, "due_at"], messages)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=_KEY, set_={"due_at": statement.excluded.due_at}
        )
    )


async def resolve(
    session: AsyncSession, drawable: DrawableId, slot: str, kind: UncertainWriteKind
) -> None:
    """Delete an uncertain write, if it exists."""
    await session.execute(
        delete(UncertainWriteRow).where(
            UncertainWriteRow.drawable_kind == drawable.kind,
            UncertainWriteRow.thread_key == drawable.key,
            UncertainWriteRow.slot == slot,
            UncertainWriteRow.kind == kind,
        )
    )


async def of_team(session: AsyncSession, team_id: str) -> list[UncertainWrite]:
    """All uncertain writes of a team's drawables, the earliest due time first."""
    rows = await session.scalars(
        select(UncertainWriteRow)
        .join(
            DrawableRow,
            and_(
                DrawableRow.kind == UncertainWriteRow.drawable_kind,
                DrawableRow.key == UncertainWriteRow.thread_key,
            ),
        )
        .where(DrawableRow.team_id == team_id)
        .order_by(UncertainWriteRow.due_at)
    )
    return [row.to_uncertain_write() for row in rows]
