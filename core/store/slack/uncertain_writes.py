"""Messages that Slack may still change late: what is to be looked at once more, and when."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.snapshot import Doubt, Doubted, ShownState
from core.store.tables.outside import DoubtRow, ShownRow
from core.store.tables.runs import RunRow

CARD = "card"
_KEY = ("thread_key", "slot", "doubt")


async def note(session: AsyncSession, doubted: Doubted) -> None:
    """Keep a doubt; noted again it is due later."""
    noting = insert(DoubtRow).values(
        thread_key=doubted.thread_key,
        slot=doubted.slot,
        doubt=doubted.doubt,
        due_at=doubted.due_at,
    )
    await session.execute(
        noting.on_conflict_do_update(index_elements=_KEY, set_={"due_at": noting.excluded.due_at})
    )


async def note_all(
    session: AsyncSession, *, team_id: str, changed_since: datetime, due_at: datetime
) -> None:
    """Doubt the cards of all threads that are not drawn to their end, and what changed lately.

    A change that was under way when its bot died may come after the ones of the next.
    """
    threads = select(RunRow.thread_key).where(RunRow.slack_team_id == team_id, ~RunRow.is_drawn)
    messages = select(
        ShownRow.thread_key,
        ShownRow.slot,
        literal(Doubt.OVERWRITTEN.value),
        literal(due_at, type_=DoubtRow.due_at.type),
    ).where(
        ShownRow.thread_key.in_(threads),
        ShownRow.state == ShownState.SHOWN,
        or_(ShownRow.slot == CARD, ShownRow.updated_at >= changed_since),
        # A file is never changed.
        ShownRow.slot.not_like("file:%"),
    )
    noting = insert(DoubtRow).from_select([*_KEY, "due_at"], messages)
    await session.execute(
        noting.on_conflict_do_update(index_elements=_KEY, set_={"due_at": noting.excluded.due_at})
    )


async def settle(session: AsyncSession, thread_key: str, slot: str, doubt: Doubt) -> None:
    """Forget a doubt, if it is there."""
    await session.execute(
        delete(DoubtRow).where(
            DoubtRow.thread_key == thread_key, DoubtRow.slot == slot, DoubtRow.doubt == doubt
        )
    )


async def of_team(session: AsyncSession, team_id: str) -> list[Doubted]:
    """All doubts about a team's threads, those that are due first before the others."""
    rows = await session.scalars(
        select(DoubtRow)
        .join(RunRow, RunRow.run_id == DoubtRow.thread_key)
        .where(RunRow.slack_team_id == team_id)
        .order_by(DoubtRow.due_at)
    )
    return [row.to_doubted() for row in rows]
