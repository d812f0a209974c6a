"""Requests to draw messages about alerts."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.delivery import AlertGroup
from core.domain.drawables import DrawableId, DrawableKind, DrawablePlace, DrawableRequest
from core.domain.feed import ChangeKind
from core.store import changes
from core.store.slack import drawables


async def draw_again(session: AsyncSession, groups: Collection[UUID]) -> None:
    """Have messages about alerts drawn again, because what they show has changed."""
    ids = [DrawableId(DrawableKind.ALERT, str(group)) for group in groups]
    for raised in await drawables.raise_versions(session, ids):
        await changes.record(session, ChangeKind.DRAWABLE, str(raised), "requested")


async def request_message(session: AsyncSession, group: AlertGroup) -> None:
    """Have a new message about alerts drawn."""
    wanted = DrawableRequest(
        drawable=DrawableId(DrawableKind.ALERT, str(group.id)),
        place=DrawablePlace(team_id=group.team_id, channel_id=group.channel_id),
    )
    if await drawables.request(session, wanted):
        await changes.record(session, ChangeKind.DRAWABLE, str(wanted.drawable), "requested")
