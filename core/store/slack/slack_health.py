"""How far what is shown in a workspace is behind, as the bot that draws there last said."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.drawables import SlackHealth
from core.store.tables.slack import SlackHealthRow


async def save(session: AsyncSession, health: SlackHealth) -> None:
    """Replace the row of a workspace."""
    values = {
        "at": health.at,
        "outdated": health.outdated,
        "oldest_at": health.oldest_at,
        "refused": health.refused,
        "limited": list(health.limited),
    }
    await session.execute(
        insert(SlackHealthRow)
        .values(team_id=health.team_id, **values)
        .on_conflict_do_update(index_elements=[SlackHealthRow.team_id], set_=values)
    )
