"""API tokens: made, listed, revoked, and checked at each request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.token import (
    USE_RESOLUTION,
    ApiToken,
    NewToken,
    TokenProblem,
    TokenRefused,
    digest_of,
    new_secret,
)
from core.services.context import ServiceContext, audit_entry, require_permission
from core.store import audit, tokens, users


@dataclass(frozen=True)
class TokenService:
    """Makes and checks API tokens.  Making, listing and revoking needs an admin."""

    context: ServiceContext

    async def create(self, request: NewToken, *, by: Actor) -> tuple[ApiToken, str]:
        """Make a token.

        A token that acts for itself owns the runs that it starts.  If an earlier token had its
        name, their runs belong to both, so that a token can be replaced.

        Returns:
            The token, and its text, which cannot be read again.

        Raises:
            BadToken: If the request is not valid.
            TokenExists: If a token that is not revoked has its name.
            NotAllowed: If the person is no admin.
            Unavailable: If the database cannot be reached.
        """
        request.check()
        async with self.context.transaction() as session:
            require_permission(by, Action.ADMINISTER)
            return await self._add(session, request, by)

    async def keep_or_replace(self, request: NewToken, *, secret: str | None, by: Actor) -> str:
        """The text of a valid token with this name and role, which acts for itself.

        The one that is known is kept if it is such a token.  Otherwise a new one takes its place:
        the present token of that name is revoked in the same transaction, and nobody else's is
        touched.

        Args:
            request: What the token is to be.
            secret: The text of an earlier one; `None` if it is not known.
            by: Who asks.

        Raises:
            BadToken: If the request is not valid.
            TokenExists: If somebody else has replaced it at this moment.
            NotAllowed: If the person is no admin.
            Unavailable: If the database cannot be reached.
        """
        request.check()
        now = self.context.clock()
        async with self.context.transaction() as session:
            require_permission(by, Action.ADMINISTER)
            known = None if secret is None else await tokens.find(session, digest_of(secret))
            if secret is not None and known is not None and _fits(known, request, now):
                return secret
            if await tokens.find_named(session, request.name) is not None:
                await self._revoke(session, request.name, by)
            return (await self._add(session, request, by))[1]

    async def revoke(self, name: str, *, by: Actor) -> ApiToken:
        """Revoke a token: requests with it are refused from now on.

        Raises:
            TokenNotFound: If no token that is not revoked has this name.
            NotAllowed: If the person is no admin.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.ADMINISTER)
            return await self._revoke(session, name, by)

    async def list_all(self, *, by: Actor) -> list[ApiToken]:
        """All tokens, the revoked ones too, newest first.

        Raises:
            NotAllowed: If the person is no admin.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.ADMINISTER)
            return await tokens.list_all(session)

    async def authenticate(self, secret: str) -> ApiToken:
        """The valid token with this text; its use is recorded.

        Raises:
            TokenRefused: If no token has this text, or if it has expired or was revoked.
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            token = await tokens.find(session, digest_of(secret))
            if token is None:
                raise TokenRefused(TokenProblem.UNKNOWN)
            problem = token.problem(now)
            if problem is not None:
                raise TokenRefused(problem, name=token.name)
            if token.last_used_at is None or token.last_used_at <= now - USE_RESOLUTION:
                await tokens.mark_used(session, token, now=now)
        return token

    async def still_valid(self, digests: Collection[str]) -> dict[str, ApiToken]:
        """Those of these tokens that are valid now, by digest; one query for all of them.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            found = await tokens.find_all(session, digests)
        return {digest: token for digest, token in found.items() if token.problem(now) is None}

    async def _add(
        self, session: AsyncSession, request: NewToken, by: Actor
    ) -> tuple[ApiToken, str]:
        now = self.context.clock()
        secret = new_secret()
        token = ApiToken(
            id=uuid4(),
            name=request.name,
            role=request.role,
            slack_user_id=request.slack_user_id,
            user_id=None
            if request.slack_user_id is not None
            else await _owner_for(session, request.name, now),
            created_at=now,
            expires_at=None if request.lifetime is None else now + request.lifetime,
        )
        await tokens.add(session, token, digest=digest_of(secret))
        await audit.record(
            session,
            audit_entry(
                by,
                Action.ADMINISTER,
                now,
                created_token=token.name,
                role=None if token.role is None else token.role.name.lower(),
                slack_user_id=token.slack_user_id,
            ),
        )
        return token, secret

    async def _revoke(self, session: AsyncSession, name: str, by: Actor) -> ApiToken:
        now = self.context.clock()
        token = await tokens.revoke(session, name, now=now)
        await audit.record(
            session, audit_entry(by, Action.ADMINISTER, now, revoked_token=token.name)
        )
        return token


def _fits(token: ApiToken, request: NewToken, now: datetime) -> bool:
    """Whether a token is what is asked for."""
    is_as_asked = (token.name, token.role) == (request.name, request.role)
    return is_as_asked and token.slack_user_id is None and token.problem(now) is None


async def _owner_for(session: AsyncSession, name: str, now: datetime) -> UUID:
    """The `users` row of the newest token with this name, or a new one."""
    earlier = await tokens.latest_owner(session, name)
    return earlier or (await users.add(session, name, now=now)).id
