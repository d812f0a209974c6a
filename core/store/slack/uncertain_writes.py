"""Messages that Slack may still change late: what is to be looked at once more, and when."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.snapshot import SlackMessageState, UncertainWrite, UncertainWriteKind
from core.store.tables.runs import RunRow
from core.store.tables.slack import SlackMessageRow, UncertainWriteRow

CARD = "card"
_KEY = ("thread_key", "slot", "kind")


async def add(session: AsyncSession, write: UncertainWrite) -> None:
    """Keep a doubt; noted again it is due later."""
    statement = insert(UncertainWriteRow).values(
        thread_key=write.thread_key,
        slot=write.slot,
        kind=write.kind,
        due_at=write.due_at,
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=_KEY, set_={"due_at": statement.excluded.due_at}
        )
    )


async def add_for_open_threads(
    session: AsyncSession, *, team_id: str, changed_since: datetime, due_at: datetime
) -> None:
    """Doubt the cards of all threads that are not drawn to their end, and what changed lately.

    A change that was under way when its bot died may come after the ones of the next.
    """
    threads = select(RunRow.thread_key).where(RunRow.slack_team_id == team_id, ~RunRow.is_drawn)
    messages = select(
        SlackMessageRow.thread_key,
        SlackMessageRow.slot,
        literal(UncertainWriteKind.OVERWRITTEN.value),
        literal(due_at, type_=UncertainWriteRow.due_at.type),
    ).where(
        SlackMessageRow.thread_key.in_(threads),
        SlackMessageRow.state == SlackMessageState.SHOWN,
        or_(SlackMessageRow.slot == CARD, SlackMessageRow.updated_at >= changed_since),
        # A file is never changed.
        SlackMessageRow.slot.not_like("file:%"),
    )
    statement = insert(UncertainWriteRow).from_select([*_KEY, "due_at"], messages)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=_KEY, set_={"due_at": statement.excluded.due_at}
        )
    )


async def resolve(
    session: AsyncSession, thread_key: str, slot: str, kind: UncertainWriteKind
) -> None:
    """Forget a doubt, if it is there."""
    await session.execute(
        delete(UncertainWriteRow).where(
            UncertainWriteRow.thread_key == thread_key,
            UncertainWriteRow.slot == slot,
            UncertainWriteRow.kind == kind,
        )
    )


async def of_team(session: AsyncSession, team_id: str) -> list[UncertainWrite]:
    """All doubts about a team's threads, those that are due first before the others."""
    rows = await session.scalars(
        select(UncertainWriteRow)
        .join(RunRow, RunRow.run_id == UncertainWriteRow.thread_key)
        .where(RunRow.slack_team_id == team_id)
        .order_by(UncertainWriteRow.due_at)
    )
    return [row.to_uncertain_write() for row in rows]
