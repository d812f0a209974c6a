"""What should be shown in Slack, and which of it is outdated."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Select, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.drawables import Drawable, DrawableId, DrawableRequest, SlackMessageState
from core.store.slack import slack_messages
from core.store.tables.drawables import DrawableRow
from core.store.tables.slack import SlackMessageRow, UncertainWriteRow

# When a message of the drawable was last tried.  The longest untried go first, so a drawable that
# cannot be drawn does not block the others.
_tried_at = (
    select(func.max(SlackMessageRow.updated_at))
    .where(
        SlackMessageRow.drawable_kind == DrawableRow.kind,
        SlackMessageRow.thread_key == DrawableRow.key,
    )
    .scalar_subquery()
)
_is_outdated = and_(DrawableRow.is_open, DrawableRow.drawn_version < DrawableRow.desired_version)


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


async def get(session: AsyncSession, drawable: DrawableId) -> Drawable | None:
    """A drawable with the rows of its messages; `None` if it does not exist."""
    row = await session.scalar(
        select(DrawableRow).where(
            DrawableRow.kind == drawable.kind, DrawableRow.key == drawable.key
        )
    )
    if row is None:
        return None
    messages = await slack_messages.of_drawable(session, drawable)
    return replace(row.to_drawable(), messages=messages)


async def outdated(
    session: AsyncSession, *, team_id: str, kinds: Collection[str], limit: int
) -> list[DrawableId]:
    """At most `limit` outdated drawables of these kinds, the longest untried first.

    The query reads only open drawables, so its cost does not grow with the history.
    """
    rows = await session.execute(outdated_query(team_id=team_id, kinds=kinds, limit=limit))
    return [DrawableId(row.kind, row.key) for row in rows]


def outdated_query(*, team_id: str, kinds: Collection[str], limit: int) -> Select[str, str]:
    """SQL: kind and key of the outdated drawables."""
    return (
        select(DrawableRow.kind, DrawableRow.key)
        .where(DrawableRow.team_id == team_id, DrawableRow.kind.in_(sorted(kinds)), _is_outdated)
        .order_by(_tried_at.nulls_first(), DrawableRow.created_at)
        .limit(limit)
    )


async def record_drawn(
    session: AsyncSession, drawable: DrawableId, *, version: int, is_live: bool
) -> None:
    """Record the version that is completely shown, and whether the drawable is live.

    The recorded version may decrease.  That happens if a process drew that was no longer the
    leader; the drawable is then outdated again, and is drawn again.
    """
    await session.execute(
        update(DrawableRow)
        .where(DrawableRow.kind == drawable.kind, DrawableRow.key == drawable.key)
        .values(drawn_version=version, is_live=is_live)
        .execution_options(synchronize_session=False)
    )


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
    session: AsyncSession, *, team_id: str, kinds: Collection[str], now: datetime
) -> None:
    """Mark the active drawables with a time limit as outdated: their rows may have changed."""
    await session.execute(
        update(DrawableRow)
        .where(
            DrawableRow.team_id == team_id,
            DrawableRow.kind.in_(sorted(kinds)),
            DrawableRow.active_until > now,
            DrawableRow.drawn_version >= DrawableRow.desired_version,
        )
        .values(desired_version=DrawableRow.desired_version + 1)
        .execution_options(synchronize_session=False)
    )


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
