"""People, with ids that do not depend on Slack."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import User
from core.store.tables.users import UserRow


async def ensure(
    session: AsyncSession, *, slack_team_id: str, slack_user_id: str, name: str, now: datetime
) -> User:
    """Return the person with a Slack id; add them if they are new, and update a changed name."""
    known = await session.scalar(
        select(UserRow).where(
            UserRow.slack_team_id == slack_team_id, UserRow.slack_user_id == slack_user_id
        )
    )
    if known is not None and known.name == name:
        return known.to_user()
    statement = insert(UserRow).values(
        id=uuid4(),
        name=name,
        slack_team_id=slack_team_id,
        slack_user_id=slack_user_id,
        created_at=now,
        updated_at=now,
    )
    rows = await session.scalars(
        statement.on_conflict_do_update(
            index_elements=["slack_team_id", "slack_user_id"],
            set_={"name": statement.excluded.name, "updated_at": now},
        ).returning(UserRow)
    )
    return rows.one().to_user()


async def get(session: AsyncSession, user_id: UUID) -> User | None:
    """Return the person with this id; `None` if there is none."""
    row = await session.scalar(select(UserRow).where(UserRow.id == user_id))
    return None if row is None else row.to_user()
