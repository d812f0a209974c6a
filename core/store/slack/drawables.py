"""What should be shown in Slack, and which of it is outdated."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, delete, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.drawables import (
    Drawable,
    DrawableId,
    DrawablePlace,
    DrawableRequest,
    SlackMessage,
    SlackMessageState,
)
from core.store.database.direct import DirectReads
from core.store.tables.drawables import DrawableRow
from core.store.tables.slack import SlackMessageRow, UncertainWriteRow


async def delete_drawables(session: AsyncSession, *, kind: str, keys: Collection[str]) -> None:
    """Forget drawables, with their messages; what Slack shows stays as it is."""
    for row, its_kind, key in (
        (UncertainWriteRow, UncertainWriteRow.drawable_kind, UncertainWriteRow.thread_key),
        (SlackMessageRow, SlackMessageRow.drawable_kind, SlackMessageRow.thread_key),
        (DrawableRow, DrawableRow.kind, DrawableRow.key),
    ):
        await session.execute(
            delete(row)
            .where(its_kind == kind, key.in_(list(keys)))
            .execution_options(synchronize_session=False)
        )


async def get(reads: DirectReads, drawable: DrawableId) -> Drawable | None:
    """A drawable with the rows of its messages; `None` if it does not exist."""
    row = await reads.fetch_row(_GET, drawable.kind, drawable.key)
    if row is None:
        return None
    return Drawable(
        id=drawable,
        place=DrawablePlace(
            team_id=row["team_id"], channel_id=row["channel_id"], user_id=row["user_id"]
        ),
        desired_version=row["desired_version"],
        drawn_version=row["drawn_version"],
        is_live=row["is_live"],
        active_until=row["active_until"],
        messages={
            slot: _message(drawable, slot, stored) for slot, *stored in row["messages"] or ()
        },
    )


_GET = """
    SELECT team_id, channel_id, user_id, desired_version, drawn_version, is_live, active_until, (
        SELECT json_agg(json_build_array(
            m.slot, m.id, m.channel_id, m.state, m.message_ts, m.thread_ts, m.version,
            m.content_hash, m.attempts, m.error, m.updated_at
        )) FROM slack_messages m WHERE m.drawable_kind = d.kind AND m.thread_key = d.key
    ) AS messages
    FROM drawables d WHERE kind = $1 AND key = $2
"""


def _message(drawable: DrawableId, slot: str, stored: Sequence[Any]) -> SlackMessage:
    return SlackMessage(
        id=UUID(stored[0]),
        drawable_kind=drawable.kind,
        thread_key=drawable.key,
        slot=slot,
        channel_id=stored[1],
        state=SlackMessageState(stored[2]),
        message_ts=stored[3],
        thread_ts=stored[4],
        version=stored[5],
        content_hash=stored[6],
        attempts=stored[7],
        error=stored[8],
        updated_at=datetime.fromisoformat(stored[9]),
    )


async def outdated(
    reads: DirectReads, *, team_id: str, kinds: Collection[str], limit: int
) -> list[DrawableId]:
    """At most `limit` outdated drawables of these kinds, the longest untried first.

    The query reads only open drawables, so its cost does not grow with the history.
    """
    rows = await reads.fetch(OUTDATED, team_id, sorted(kinds), limit)
    return [DrawableId(row[0], row[1]) for row in rows]


# The longest untried go first, so a drawable that cannot be drawn does not block the others.
OUTDATED = """
    SELECT kind, key FROM drawables
    WHERE team_id = $1 AND kind = ANY($2::text[]) AND is_open AND drawn_version < desired_version
    ORDER BY (
        SELECT max(updated_at) FROM slack_messages
        WHERE drawable_kind = drawables.kind AND thread_key = drawables.key
    ) NULLS FIRST, created_at
    LIMIT $3
"""


async def record_drawn(
    reads: DirectReads, drawable: DrawableId, *, version: int, is_live: bool
) -> None:
    """Record the version that is completely shown, and whether the drawable is live.

    The recorded version may decrease.  That happens if a process drew that was no longer the
    leader; the drawable is then outdated again, and is drawn again.
    """
    await reads.write_row(_RECORD_DRAWN, drawable.kind, drawable.key, version, is_live)


_RECORD_DRAWN = """
    UPDATE drawables SET drawn_version = $3, is_live = $4 WHERE kind = $1 AND key = $2
"""


async def request(session: AsyncSession, wanted: DrawableRequest) -> bool:
    """Request a drawing; `False` if it was requested before."""
    added = await session.scalar(
        insert(DrawableRow)
        .values(**_place(wanted), desired_version=1)
        .on_conflict_do_nothing()
        .returning(DrawableRow.key)
    )
    return added is not None


async def activate(session: AsyncSession, wanted: DrawableRequest, *, until: datetime) -> None:
    """Request a new drawing now, and keep the drawable up to date until a given time.

    The rows of its messages are deleted, so that it is drawn even if its content is unchanged.
    """
    drawable = wanted.drawable
    await session.execute(
        delete(SlackMessageRow)
        .where(
            SlackMessageRow.drawable_kind == drawable.kind,
            SlackMessageRow.thread_key == drawable.key,
        )
        .execution_options(synchronize_session=False)
    )
    await session.execute(
        insert(DrawableRow)
        .values(**_place(wanted), desired_version=1, active_until=until)
        .on_conflict_do_update(
            index_elements=["kind", "key"],
            set_={"desired_version": DrawableRow.desired_version + 1, "active_until": until},
        )
    )


async def raise_active(
    reads: DirectReads, *, team_id: str, kinds: Collection[str], now: datetime
) -> None:
    """Mark the active drawables with a time limit as outdated: their rows may have changed."""
    await reads.write_row(_RAISE_ACTIVE, team_id, sorted(kinds), now)


_RAISE_ACTIVE = """
    UPDATE drawables SET desired_version = desired_version + 1
    WHERE team_id = $1 AND kind = ANY($2::text[]) AND active_until > $3
        AND drawn_version >= desired_version
"""


async def raise_versions(
    session: AsyncSession, drawables: Collection[DrawableId]
) -> list[DrawableId]:
    """Mark drawables as outdated, because their rows have changed; returns those that exist."""
    if not drawables:
        return []
    rows = await session.execute(
        update(DrawableRow)
        .where(tuple_(DrawableRow.kind, DrawableRow.key).in_(sorted(drawables)))
        .values(desired_version=DrawableRow.desired_version + 1)
        .returning(DrawableRow.kind, DrawableRow.key)
        .execution_options(synchronize_session=False)
    )
    return [DrawableId(row.kind, row.key) for row in rows]


async def lost_channels(
    session: AsyncSession, *, team_id: str, reasons: Collection[str], since: datetime
) -> list[str]:
    """The channels of a team in which messages were lost since a time, with one of these errors."""
    channels = await session.scalars(
        select(SlackMessageRow.channel_id)
        .join(
            DrawableRow,
            and_(
                DrawableRow.kind == SlackMessageRow.drawable_kind,
                DrawableRow.key == SlackMessageRow.thread_key,
                DrawableRow.channel_id == SlackMessageRow.channel_id,
            ),
        )
        .where(
            SlackMessageRow.state == SlackMessageState.GONE,
            SlackMessageRow.error.in_(sorted(reasons)),
            SlackMessageRow.updated_at >= since,
            DrawableRow.team_id == team_id,
        )
        .distinct()
    )
    return list(channels)


def open_of_team(team_id: str, *, now: datetime) -> Select[str, str]:
    """SQL: kind and key of a team's drawables that may be drawn at any time."""
    return select(DrawableRow.kind, DrawableRow.key).where(
        DrawableRow.team_id == team_id,
        DrawableRow.is_open,
        or_(DrawableRow.active_until.is_(None), DrawableRow.active_until > now),
    )


def _place(wanted: DrawableRequest) -> dict[str, str | None]:
    return {
        "kind": wanted.drawable.kind,
        "key": wanted.drawable.key,
        "team_id": wanted.place.team_id,
        "channel_id": wanted.place.channel_id,
        "user_id": wanted.place.user_id,
    }
