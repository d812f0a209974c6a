"""The messages of each drawable in Slack."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.drawables import (
    DrawableId,
    DrawableKind,
    SlackMessage,
    SlackMessageState,
)
from core.domain.runs.snapshot import CardPlace
from core.store.database.direct import DirectReads
from core.store.tables.drawables import DrawableRow
from core.store.tables.runs import RunRow
from core.store.tables.slack import SlackMessageRow
from core.store.tables.types import sanitize_text

CARD = "card"
# `SlackMessage.error` of a message that Slack certainly does not have: it is posted without a
# search.
UNSENT = "unsent"


async def of_drawable(session: AsyncSession, drawable: DrawableId) -> dict[str, SlackMessage]:
    """The messages of a drawable, by slot."""
    rows = await session.scalars(
        select(SlackMessageRow).where(
            SlackMessageRow.drawable_kind == drawable.kind,
            SlackMessageRow.thread_key == drawable.key,
        )
    )
    return {row.slot: row.to_slack_message() for row in rows}


async def find_thread_key(session: AsyncSession, channel_id: str, message_ts: str) -> str | None:
    """The key of the thread under a message; `None` if the message is not one of our cards."""
    key: str | None = await session.scalar(
        select(SlackMessageRow.thread_key).where(
            SlackMessageRow.channel_id == channel_id,
            # A card that was deleted and posted again is a reply in the thread of the old card.
            or_(SlackMessageRow.message_ts == message_ts, SlackMessageRow.thread_ts == message_ts),
            SlackMessageRow.drawable_kind == DrawableKind.THREAD,
            SlackMessageRow.slot == CARD,
        )
    )
    return key


async def cards_of_runs(session: AsyncSession, run_ids: Collection[str]) -> dict[str, CardPlace]:
    """Where the threads of these runs are in Slack, by run id; runs without one are missing.

    The card itself may have been deleted and posted again, in its thread: then the thread is named.
    """
    if not run_ids:
        return {}
    root = func.coalesce(SlackMessageRow.thread_ts, SlackMessageRow.message_ts)
    rows = await session.execute(
        select(RunRow.run_id, SlackMessageRow.channel_id, root.label("root"))
        .join(SlackMessageRow, SlackMessageRow.thread_key == RunRow.thread_key)
        .where(
            RunRow.run_id.in_(sorted(run_ids)),
            SlackMessageRow.drawable_kind == DrawableKind.THREAD,
            SlackMessageRow.slot == CARD,
            root.is_not(None),
            root != "",
            SlackMessageRow.channel_id.is_not(None),
        )
    )
    return {row.run_id: CardPlace(channel_id=row.channel_id, message_ts=row.root) for row in rows}


async def save(reads: DirectReads, message: SlackMessage) -> None:
    """Store the row of a slot's message, before or after a call to Slack; its first id stays.

    A message with an unknown result or without a post makes the drawable outdated.  So does a
    message for a version below the recorded one.
    """
    is_unsent = message.state is SlackMessageState.GONE and message.error == UNSENT
    is_certain = message.state is not SlackMessageState.SENDING and not is_unsent
    await reads.write_row(
        _SAVE,
        message.id,
        message.drawable_kind,
        message.thread_key,
        message.slot,
        message.channel_id,
        message.state.value,
        message.message_ts,
        message.thread_ts,
        message.version,
        message.content_hash,
        message.attempts,
        None if message.error is None else sanitize_text(message.error),
        message.updated_at,
        message.version if is_certain else 0,
    )


_SAVE = """
    WITH saved AS (
        INSERT INTO slack_messages (
            id, drawable_kind, thread_key, slot, channel_id, state, message_ts, thread_ts, version,
            content_hash, attempts, error, updated_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (drawable_kind, thread_key, slot) DO UPDATE SET
            channel_id = excluded.channel_id, state = excluded.state,
            message_ts = excluded.message_ts, thread_ts = excluded.thread_ts,
            version = excluded.version, content_hash = excluded.content_hash,
            attempts = excluded.attempts, error = excluded.error, updated_at = excluded.updated_at
    )
    UPDATE drawables SET drawn_version = $14::bigint
    WHERE kind = $2 AND key = $3 AND drawn_version > $14::bigint
"""


async def retry_lost(session: AsyncSession, channel_id: str, *, reasons: Collection[str]) -> int:
    """Make the messages of a channel that were lost with these errors drawable again.

    Messages that were shown before are updated in place; the others are posted.

    Returns:
        The number of drawables concerned.
    """
    lost = (
        SlackMessageRow.channel_id == channel_id,
        SlackMessageRow.state == SlackMessageState.GONE,
        SlackMessageRow.error.in_(sorted(reasons)),
    )
    drawables: set[DrawableId] = set()
    for conditions, values in (
        (
            (SlackMessageRow.message_ts.is_not(None), SlackMessageRow.message_ts != ""),
            {"state": SlackMessageState.SHOWN, "error": None},
        ),
        ((), {"error": UNSENT}),
    ):
        rows = await session.execute(
            update(SlackMessageRow)
            .where(*lost, *conditions)
            .values(**values, content_hash=None, version=0)
            .returning(SlackMessageRow.drawable_kind, SlackMessageRow.thread_key)
            .execution_options(synchronize_session=False)
        )
        drawables |= {DrawableId(row.drawable_kind, row.thread_key) for row in rows}
    await session.execute(
        update(DrawableRow)
        .where(tuple_(DrawableRow.kind, DrawableRow.key).in_(list(drawables)))
        .values(drawn_version=0)
        .execution_options(synchronize_session=False)
    )
    return len(drawables)
