"""API tokens, found by the digest of their text."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.token import USE_RESOLUTION, ApiToken, TokenExists, TokenNotFound
from core.store.runs.compare_and_set import time_literal
from core.store.tables.tokens import IS_VALID_NAME, TokenRow


async def add(session: AsyncSession, token: ApiToken, *, digest: str) -> None:
    """Add a token.

    Raises:
        TokenExists: If one that is not revoked has its name.
    """
    added = await session.scalar(
        insert(TokenRow)
        .values(
            id=token.id,
            name=token.name,
            digest=digest,
            role=None if token.role is None else int(token.role),
            slack_user_id=token.slack_user_id,
            user_id=token.user_id,
            created_at=token.created_at,
            expires_at=token.expires_at,
        )
        .on_conflict_do_nothing(index_elements=["name"], index_where=IS_VALID_NAME)
        .returning(TokenRow.id)
    )
    if added is None:
        raise TokenExists(token.name)


async def find(session: AsyncSession, digest: str) -> ApiToken | None:
    """The token with this digest, also if it has expired or was revoked."""
    row = await session.scalar(select(TokenRow).where(TokenRow.digest == digest))
    return None if row is None else row.to_token()


async def find_all(session: AsyncSession, digests: Collection[str]) -> dict[str, ApiToken]:
    """The tokens with these digests, by digest, also those that expired or were revoked."""
    rows = await session.scalars(select(TokenRow).where(TokenRow.digest.in_(sorted(digests))))
    return {row.digest: row.to_token() for row in rows}


async def find_named(session: AsyncSession, name: str) -> ApiToken | None:
    """The token with this name that is not revoked, also if it has expired."""
    row = await session.scalar(
        select(TokenRow).where(TokenRow.name == name, TokenRow.revoked_at.is_(None))
    )
    return None if row is None else row.to_token()


async def latest_owner(session: AsyncSession, name: str) -> UUID | None:
    """The owner of the runs of the newest token with this name that acts for itself."""
    owner: UUID | None = await session.scalar(
        select(TokenRow.user_id)
        .where(TokenRow.name == name, TokenRow.user_id.is_not(None))
        .order_by(TokenRow.created_at.desc(), TokenRow.id)
        .limit(1)
    )
    return owner


async def mark_used(session: AsyncSession, token: ApiToken, *, now: datetime) -> None:
    """Record a use, unless one of the last minute is recorded."""
    await session.execute(
        update(TokenRow)
        .where(
            TokenRow.id == token.id,
            or_(
                TokenRow.last_used_at.is_(None),
                TokenRow.last_used_at <= time_literal(now - USE_RESOLUTION),
            ),
        )
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


async def revoke(session: AsyncSession, name: str, *, now: datetime) -> ApiToken:
    """Revoke the token with this name.

    Raises:
        TokenNotFound: If none that is not revoked has it.
    """
    row: TokenRow | None = await session.scalar(
        update(TokenRow)
        .where(TokenRow.name == name, TokenRow.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(TokenRow)
        .execution_options(synchronize_session=False)
    )
    if row is None:
        raise TokenNotFound(name)
    return row.to_token()


async def list_all(session: AsyncSession) -> list[ApiToken]:
    """All tokens, the revoked ones too, newest first."""
    rows = await session.scalars(select(TokenRow).order_by(TokenRow.created_at.desc(), TokenRow.id))
    return [row.to_token() for row in rows]
