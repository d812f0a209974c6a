"""Links that sign in to the dashboard, and the sessions of browsers, by their digests."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.sign_in import DashboardSession, LinkProblem, LinkRefused, Person
from core.domain.token import USE_RESOLUTION, ApiToken
from core.store.tables.dashboard import DashboardSessionRow, SignInLinkRow
from core.store.tables.tokens import TokenRow


async def add_link(
    session: AsyncSession, digest: str, person: Person, *, now: datetime, expires_at: datetime
) -> None:
    """Add a link."""
    session.add(
        SignInLinkRow(
            digest=digest,
            name=person.name,
            slack_user_id=person.slack_user_id,
            token_id=person.token_id,
            created_at=now,
            expires_at=expires_at,
        )
    )
    await session.flush()


async def find_link(session: AsyncSession, digest: str, *, now: datetime) -> Person:
    """For whom a link is that was not used.

    Raises:
        LinkRefused: If it signs nobody in.
    """
    row = await session.get(SignInLinkRow, digest)
    if row is None:
        raise LinkRefused(LinkProblem.UNKNOWN)
    if row.used_at is not None:
        raise LinkRefused(LinkProblem.USED)
    if row.expires_at <= now:
        raise LinkRefused(LinkProblem.EXPIRED)
    return row.to_person()


async def use_link(session: AsyncSession, digest: str, *, now: datetime) -> Person:
    """Use a link up; of two callers at the same time one succeeds.

    Raises:
        LinkRefused: If it signs nobody in.
    """
    row: SignInLinkRow | None = await session.scalar(
        update(SignInLinkRow)
        .where(
            SignInLinkRow.digest == digest,
            SignInLinkRow.used_at.is_(None),
            SignInLinkRow.expires_at > now,
        )
        .values(used_at=now)
        .returning(SignInLinkRow)
        .execution_options(synchronize_session=False)
    )
    if row is not None:
        return row.to_person()
    await find_link(session, digest, now=now)
    raise LinkRefused(LinkProblem.USED)


async def add(session: AsyncSession, signed_in: DashboardSession, *, digest: str) -> None:
    """Add the session of a browser."""
    person = signed_in.person
    session.add(
        DashboardSessionRow(
            id=signed_in.id,
            digest=digest,
            name=person.name,
            slack_user_id=person.slack_user_id,
            token_id=person.token_id,
            browser=signed_in.browser,
            address=signed_in.address,
            created_at=signed_in.created_at,
            expires_at=signed_in.expires_at,
            last_used_at=signed_in.last_used_at,
        )
    )
    await session.flush()


async def find_all(
    session: AsyncSession, digests: Collection[str]
) -> dict[str, tuple[DashboardSession, ApiToken | None]]:
    """The sessions with these digests, each with its token if it stands for one."""
    rows = await session.execute(
        select(DashboardSessionRow, TokenRow)
        .outerjoin(TokenRow, TokenRow.id == DashboardSessionRow.token_id)
        .where(DashboardSessionRow.digest.in_(sorted(digests)))
    )
    found: dict[str, tuple[DashboardSession, ApiToken | None]] = {}
    for row in rows:
        # Of an outer join, which its type does not tell.
        signed_in, token = row[0], cast("TokenRow | None", row[1])
        found[signed_in.digest] = (
            signed_in.to_session(),
            None if token is None else token.to_token(),
        )
    return found


async def mark_used(session: AsyncSession, signed_in: DashboardSession, *, now: datetime) -> None:
    """Record a use, unless one of the last minute is recorded."""
    if signed_in.last_used_at <= now - USE_RESOLUTION:
        await session.execute(
            update(DashboardSessionRow)
            .where(DashboardSessionRow.id == signed_in.id)
            .values(last_used_at=now)
            .execution_options(synchronize_session=False)
        )


async def list_valid(
    session: AsyncSession, *, now: datetime, of: Person | None = None
) -> list[DashboardSession]:
    """The sessions that admit requests, newest first: of one person, or of all (`None`)."""
    wanted = select(DashboardSessionRow).where(
        DashboardSessionRow.ended_at.is_(None), DashboardSessionRow.expires_at > now
    )
    if of is not None:
        wanted = wanted.where(
            DashboardSessionRow.slack_user_id == of.slack_user_id
            if of.slack_user_id is not None
            else DashboardSessionRow.token_id == of.token_id
        )
    rows = await session.scalars(
        wanted.order_by(DashboardSessionRow.created_at.desc(), DashboardSessionRow.id)
    )
    return [row.to_session() for row in rows]


async def end(session: AsyncSession, session_id: UUID, *, now: datetime) -> bool:
    """End a session; returns whether it had not ended before."""
    ended = await session.scalar(
        update(DashboardSessionRow)
        .where(DashboardSessionRow.id == session_id, DashboardSessionRow.ended_at.is_(None))
        .values(ended_at=now)
        .returning(DashboardSessionRow.id)
        .execution_options(synchronize_session=False)
    )
    return ended is not None


async def delete_old(session: AsyncSession, *, now: datetime, keep: timedelta) -> int:
    """Delete links and sessions that expired longer ago than `keep`; returns how many."""
    deleted = 0
    for table in (SignInLinkRow, DashboardSessionRow):
        found = await session.scalars(
            delete(table)
            .where(table.expires_at < now - keep)
            .returning(table.created_at)
            .execution_options(synchronize_session=False)
        )
        deleted += len(found.all())
    return deleted
