"""People, with ids that do not depend on Slack."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, or_, select
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


async def add(session: AsyncSession, name: str, *, now: datetime) -> User:
    """Add somebody without an id in Slack: a program that calls the API."""
    user = User(id=uuid4(), name=name)
    await session.execute(
        insert(UserRow).values(id=user.id, name=name, created_at=now, updated_at=now)
    )
    return user


async def get(session: AsyncSession, user_id: UUID) -> User | None:
    """The person with this id, if there is one."""
    return (await by_ids(session, [user_id])).get(user_id)


async def by_ids(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, User]:
    """The people with these ids, as far as there are any."""
    if not user_ids:
        return {}
    rows = await session.scalars(select(UserRow).where(UserRow.id.in_(list(user_ids))))
    return {row.id: row.to_user() for row in rows}


async def ids_of_name(session: AsyncSession, name: str, *, limit: int) -> list[UUID]:
    """The people with a name, in any capitals, or with a Slack id, at most `limit`."""
    is_named = or_(func.lower(UserRow.name) == name.lower(), UserRow.slack_user_id == name.upper())
    return list(await session.scalars(select(UserRow.id).where(is_named).limit(limit)))


async def find_by_slack_id(session: AsyncSession, *, team_id: str, user_id: str) -> User | None:
    """The person behind a Slack id, if they ever did anything here."""
    row = await session.scalar(
        select(UserRow).where(UserRow.slack_team_id == team_id, UserRow.slack_user_id == user_id)
    )
    return None if row is None else row.to_user()
