"""Who may use the dashboard: links that sign in, and the sessions of browsers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor, Origin, Role
from core.domain.sign_in import (
    LINK_LIFETIME,
    MAX_BROWSER_CHARS,
    SESSION_LIFETIME,
    DashboardSession,
    Person,
    SessionNotFound,
    new_link_secret,
    new_session_secret,
)
from core.domain.token import ApiToken, TokenProblem, TokenRefused, digest_of
from core.services.context import ServiceContext, audit_entry, require_permission
from core.store import audit, sign_ins

_MAX_ADDRESS_CHARS = 64


@dataclass(frozen=True)
class SignInService:
    """Makes links, signs browsers in and out, and checks their requests."""

    context: ServiceContext

    async def make_link(self, *, by: Actor) -> str:
        """Make a link for the person who asks, valid once and for ten minutes.

        Returns:
            The secret of the link, which cannot be read again.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        now, secret = self.context.clock(), new_link_secret()
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            person = person_of(by)
            await sign_ins.add_link(
                session, digest_of(secret), person, now=now, expires_at=now + LINK_LIFETIME
            )
            await audit.record(session, audit_entry(by, Action.VIEW, now, made_sign_in_link=True))
        return secret

    async def preview(self, secret: str) -> Person:
        """For whom a link is, without using it up: programs that look at links must not sign in.

        Raises:
            LinkRefused: If it signs nobody in.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            return await sign_ins.find_link(session, digest_of(secret), now=self.context.clock())

    async def sign_in(self, secret: str, *, browser: str, address: str) -> str:
        """Use a link up, and begin a session.

        Args:
            secret: The secret of the link.
            browser: What the browser calls itself.
            address: Where it is, as the server sees it.

        Returns:
            The secret of the session, which cannot be read again.

        Raises:
            LinkRefused: If the link signs nobody in.
            Unavailable: If the database cannot be reached.
        """
        now, session_secret = self.context.clock(), new_session_secret()
        async with self.context.transaction() as session:
            person = await sign_ins.use_link(session, digest_of(secret), now=now)
            signed_in = DashboardSession(
                id=uuid4(),
                person=person,
                browser=browser[:MAX_BROWSER_CHARS],
                address=address[:_MAX_ADDRESS_CHARS],
                created_at=now,
                expires_at=now + SESSION_LIFETIME,
                last_used_at=now,
            )
            await sign_ins.add(session, signed_in, digest=digest_of(session_secret))
            await audit.record(
                session,
                audit_entry(
                    _signed_in_actor(person), Action.VIEW, now, signed_in=str(signed_in.id)
                ),
            )
        return session_secret

    async def authenticate(self, secret: str) -> ApiToken:
        """The rights of the session with this secret, as those of a token; its use is recorded.

        Raises:
            TokenRefused: If there is no such session, or if it or its token ended.
            Unavailable: If the database cannot be reached.
        """
        now, digest = self.context.clock(), digest_of(secret)
        async with self.context.transaction() as session:
            found = (await sign_ins.find_all(session, [digest])).get(digest)
            if found is None:
                raise TokenRefused(TokenProblem.UNKNOWN)
            signed_in, token = found
            rights = _rights(signed_in, token)
            problem = rights.problem(now)
            if problem is not None:
                raise TokenRefused(problem, name=signed_in.person.name)
            await sign_ins.mark_used(session, signed_in, now=now)
        return rights

    async def still_valid(self, digests: Collection[str]) -> dict[str, ApiToken]:
        """The rights of those of these sessions that are valid now, by digest; one query.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            found = await sign_ins.find_all(session, digests)
        rights = {digest: _rights(*one) for digest, one in found.items()}
        return {digest: one for digest, one in rights.items() if one.problem(now) is None}

    async def list_sessions(self, *, by: Actor) -> list[DashboardSession]:
        """The sessions that are signed in, newest first: an admin sees all, others their own.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            return await self._visible(session, by)

    async def end_session(self, session_id: UUID, *, by: Actor) -> None:
        """Sign a browser out: an admin any, others one of their own.

        Raises:
            SessionNotFound: If there is no such session for this person.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            if all(one.id != session_id for one in await self._visible(session, by)):
                raise SessionNotFound(session_id)
            await self._end(session, session_id, by, now)

    async def sign_out(self, secret: str, *, by: Actor) -> None:
        """End the session with this secret; one that has ended stays so.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now, digest = self.context.clock(), digest_of(secret)
        async with self.context.transaction() as session:
            found = (await sign_ins.find_all(session, [digest])).get(digest)
            if found is not None:
                await self._end(session, found[0].id, by, now)

    async def _visible(self, session: AsyncSession, by: Actor) -> list[DashboardSession]:
        of = None if by.role >= Role.ADMIN else person_of(by)
        return await sign_ins.list_valid(session, now=self.context.clock(), of=of)

    async def _end(self, session: AsyncSession, session_id: UUID, by: Actor, now: datetime) -> None:
        if await sign_ins.end(session, session_id, now=now):
            await audit.record(
                session, audit_entry(by, Action.VIEW, now, signed_out=str(session_id))
            )


def person_of(actor: Actor) -> Person:
    """The Slack member or the token that an actor is."""
    try:
        token_id = UUID(actor.external_id or "")
    except ValueError:
        return Person(name=actor.name, slack_user_id=actor.external_id)
    return Person(name=actor.name, token_id=token_id)


def _signed_in_actor(person: Person) -> Actor:
    return Actor(
        # What they may do is asked at each request.
        role=Role.VIEWER,
        origin=Origin.DASHBOARD,
        external_id=person.slack_user_id or str(person.token_id),
        name=person.name,
    )


def _rights(signed_in: DashboardSession, token: ApiToken | None) -> ApiToken:
    """What a session admits to, as a token: as much as the member's role, or as its token."""
    ends = [signed_in.expires_at]
    revoked_at = signed_in.ended_at
    if token is not None:
        ends += [] if token.expires_at is None else [token.expires_at]
        revoked_at = revoked_at or token.revoked_at
    return ApiToken(
        id=signed_in.id if token is None else token.id,
        name=signed_in.person.name if token is None else token.name,
        created_at=signed_in.created_at,
        role=None if token is None else token.role,
        slack_user_id=signed_in.person.slack_user_id if token is None else token.slack_user_id,
        user_id=None if token is None else token.user_id,
        expires_at=min(ends),
        revoked_at=revoked_at,
        last_used_at=signed_in.last_used_at,
    )
