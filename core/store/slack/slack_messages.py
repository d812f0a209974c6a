"""What Slack shows of each thread, and which threads show less than the rows say."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.run import LIVE_STATUSES
from core.domain.runs.snapshot import SlackMessage, SlackMessageState
from core.store.tables.runs import RunRow
from core.store.tables.slack import SlackMessageRow

CARD = "card"
# The reason of a row whose message was never sent.
UNSENT = "unsent"
_INSERT_ONLY_FIELDS = ("id", "thread_key", "slot")
_UPDATED_FIELDS = (
    "channel_id", "state", "message_ts", "thread_ts", "version", "content_hash", "attempts",
    "error", "updated_at",
)  # fmt: skip


async def of_thread(session: AsyncSession, thread_key: str) -> dict[str, SlackMessage]:
    """What is shown of a thread, by slot."""
    rows = await session.scalars(
        select(SlackMessageRow).where(SlackMessageRow.thread_key == thread_key)
    )
    return {row.slot: row.to_slack_message() for row in rows}


async def find_thread_key(session: AsyncSession, channel_id: str, message_ts: str) -> str | None:
    """The key of the thread that a message heads, if it is one of our cards."""
    key: str | None = await session.scalar(
        select(SlackMessageRow.thread_key).where(
            SlackMessageRow.channel_id == channel_id,
            # A card that was deleted and posted again is a reply of its old root.
            or_(SlackMessageRow.message_ts == message_ts, SlackMessageRow.thread_ts == message_ts),
            SlackMessageRow.slot == CARD,
        )
    )
    return key


async def save(session: AsyncSession, message: SlackMessage) -> None:
    """Record what is (about to be) shown in a slot; its first id stays.

    A card's version is what the thread is measured by: it is put last, when everything else
    of that version is in the thread.
    """
    values = {name: getattr(message, name) for name in (*_INSERT_ONLY_FIELDS, *_UPDATED_FIELDS)}
    statement = insert(SlackMessageRow).values(**values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["thread_key", "slot"],
            set_={name: statement.excluded[name] for name in _UPDATED_FIELDS},
        )
    )
    if message.slot == CARD:
        # Who drew an older state last, from before it was deposed, has to be drawn over.
        await session.execute(
            update(RunRow)
            .where(
                RunRow.thread_key == message.thread_key,
                RunRow.version > message.version,
                RunRow.is_drawn,
            )
            .values(is_drawn=False)
            .execution_options(synchronize_session=False)
        )
    if message.slot == CARD and message.state is not SlackMessageState.SENDING:
        # Ended runs that are drawn need not be looked at again until somebody changes them.
        await session.execute(
            update(RunRow)
            .where(
                RunRow.thread_key == message.thread_key,
                RunRow.version <= message.version,
                RunRow.status.not_in(sorted(LIVE_STATUSES)),
                ~RunRow.is_drawn,
            )
            .values(is_drawn=True)
            .execution_options(synchronize_session=False)
        )


async def outdated_threads(session: AsyncSession, *, limit: int, team_id: str) -> list[str]:
    """Keys of a team's threads whose runs are ahead of their card, or that have none yet.

    Those that were not tried for longest come first, so that threads that cannot be drawn
    hold up no other.  Looks at live runs and at ended ones that are not drawn: its cost does
    not grow with the history.
    """
    keys = await session.scalars(
        select(RunRow.thread_key)
        .outerjoin(
            SlackMessageRow,
            (SlackMessageRow.thread_key == RunRow.thread_key) & (SlackMessageRow.slot == CARD),
        )
        .where(
            RunRow.slack_team_id == team_id,
            RunRow.slack_channel_id.is_not(None),
            RunRow.thread_key.is_not(None),
            ~RunRow.is_drawn,
        )
        .group_by(RunRow.thread_key, SlackMessageRow.id)
        .having(
            or_(
                SlackMessageRow.id.is_(None),
                # Whether it arrived is not known: to be looked for, and sent again if not.
                SlackMessageRow.state == SlackMessageState.SENDING,
                func.max(RunRow.version) > SlackMessageRow.version,
            )
        )
        .order_by(SlackMessageRow.updated_at.nulls_first(), func.min(RunRow.created_at))
        .limit(limit)
    )
    return [key for key in keys if key is not None]


async def lost_channels(
    session: AsyncSession, *, team_id: str, reasons: Collection[str], since: datetime
) -> list[str]:
    """Channels of a team in which messages were lost since then, for one of these reasons."""
    channels = await session.scalars(
        select(SlackMessageRow.channel_id)
        .join(RunRow, RunRow.run_id == SlackMessageRow.thread_key)
        .where(
            SlackMessageRow.channel_id == RunRow.slack_channel_id,
            SlackMessageRow.state == SlackMessageState.GONE,
            SlackMessageRow.error.in_(sorted(reasons)),
            SlackMessageRow.updated_at >= since,
            RunRow.slack_team_id == team_id,
        )
        .distinct()
    )
    return list(channels)


async def retry_lost(session: AsyncSession, channel_id: str, *, reasons: Collection[str]) -> int:
    """Forget that messages of a channel were lost for these reasons; answers how many threads.

    What had been shown is updated where it is, what had not is posted.
    """
    lost = (
        SlackMessageRow.channel_id == channel_id,
        SlackMessageRow.state == SlackMessageState.GONE,
        SlackMessageRow.error.in_(sorted(reasons)),
    )
    keys = set(
        await session.scalars(
            update(SlackMessageRow)
            .where(*lost, SlackMessageRow.message_ts.is_not(None), SlackMessageRow.message_ts != "")
            .values(state=SlackMessageState.SHOWN, error=None, content_hash=None, version=0)
            .returning(SlackMessageRow.thread_key)
            .execution_options(synchronize_session=False)
        )
    )
    keys |= set(
        await session.scalars(
            update(SlackMessageRow)
            .where(*lost)
            .values(error=UNSENT, content_hash=None, version=0)
            .returning(SlackMessageRow.thread_key)
            .execution_options(synchronize_session=False)
        )
    )
    # A thread is measured by its card, whichever of its messages was lost.
    await session.execute(
        update(SlackMessageRow)
        .where(SlackMessageRow.thread_key.in_(keys), SlackMessageRow.slot == CARD)
        .values(version=0)
        .execution_options(synchronize_session=False)
    )
    await session.execute(
        update(RunRow)
        .where(RunRow.thread_key.in_(keys))
        .values(is_drawn=False)
        .execution_options(synchronize_session=False)
    )
    return len(keys)


async def ended_threads(session: AsyncSession, thread_keys: Collection[str]) -> frozenset[str]:
    """Those of the threads that have no live run."""
    live = await session.scalars(
        select(RunRow.thread_key).where(
            RunRow.thread_key.in_(list(thread_keys)), RunRow.status.in_(sorted(LIVE_STATUSES))
        )
    )
    return frozenset(thread_keys) - frozenset(key for key in live if key is not None)
