"""Who calls: the token of a request, and the actor that it stands for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from weakref import WeakValueDictionary

from aiohttp import hdrs, web
from cachetools import TTLCache

from bot.web.auditor import Auditor
from bot.web.cookies import require_same_site, session_cookie
from core.domain.actor import Action, Actor, Origin, Role
from core.domain.errors import Forbidden
from core.domain.sign_in import SESSION_PREFIX
from core.domain.token import ApiToken, TokenProblem, TokenRefused, digest_of

# For so long a request may be admitted after its token was revoked, or its member's role reduced.
ADMISSION_SECONDS = 2.0
_MAX_CACHED = 1024
# A program that goes on with a token that was revoked is audited no more often.
_REFUSAL_SECONDS = 60.0
API_KEY_HEADER = "x-api-key"
_SCHEME = "bearer"


class TokenChecker(Protocol):
    """Knows the valid tokens; see `TokenService`."""

    async def authenticate(self, secret: str) -> ApiToken:
        """The valid token with this text."""
        ...

    async def still_valid(self, digests: Collection[str]) -> Mapping[str, ApiToken]:
        """Those of these tokens that are valid now, by digest."""
        ...


class Members(Protocol):
    """Knows the members of the Slack workspace."""

    async def actor_of(self, slack_user_id: str) -> Actor:
        """The member as an actor, with their present role.

        Raises:
            Forbidden: If they are no full member any more, or have no role.
            Unavailable: If Slack or the database cannot be reached.
        """
        ...


@dataclass
class Authentication:
    """Turns the token of a request into an actor.

    An accepted token is remembered for `ADMISSION_SECONDS`, so that a program that polls does not
    read it from the database each time.

    Attributes:
        tokens: Of API tokens, and of the dashboard's sessions.
        origin: The surface by which requests with tokens come, as the audit log has it.  Those
            with the cookie of a session come from the dashboard.
        public_url: The address at which browsers reach this server; `None` if it is not set.
    """

    tokens: TokenChecker
    members: Members
    auditor: Auditor
    origin: Origin = Origin.API
    public_url: str | None = None
    clock: Callable[[], float] = time.monotonic
    _admitted: TTLCache[str, Actor] = field(init=False)
    _refused: TTLCache[str, bool] = field(init=False)
    _checks: WeakValueDictionary[str, asyncio.Lock] = field(init=False)

    def __post_init__(self) -> None:
        self._admitted = TTLCache(maxsize=_MAX_CACHED, ttl=ADMISSION_SECONDS, timer=self.clock)
        self._refused = TTLCache(maxsize=_MAX_CACHED, ttl=_REFUSAL_SECONDS, timer=self.clock)
        self._checks = WeakValueDictionary()

    async def actor_of(self, request: web.Request, action: Action) -> Actor:
        """The actor who sent a request to do `action`.

        A refused token is audited if it is known whose it was.

        Raises:
            TokenRefused: If it has no valid token, and no cookie of a valid session.
            Forbidden: If the token acts for a Slack member who may not use Signalbox, or if
                another site's page made a browser act.
            Unavailable: If the database or Slack cannot be reached.
        """
        secret = secret_of(request)
        if secret is None:
            raise TokenRefused(TokenProblem.MISSING)
        if is_session(secret):
            require_same_site(request, secret, public_url=self.public_url)
        digest = digest_of(secret)
        admitted = self._admitted.get(digest)
        if admitted is None:
            # Of many requests at a time one reads the token, and the others wait for that.
            async with self._checks.setdefault(digest, asyncio.Lock()):
                admitted = self._admitted.get(digest)
                if admitted is None:
                    admitted = await self._admit(secret, digest, action)
                    self._admitted[digest] = admitted
        return admitted

    async def check_again(self, digests: Collection[str]) -> Mapping[str, ApiToken]:
        """Those of some tokens that are still valid, by digest; the database is asked once.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        return await self.tokens.still_valid(digests)

    def forget(self, digest: str) -> None:
        """Admit no further request with a token only because of an earlier one."""
        self._admitted.pop(digest, None)

    def forget_secret(self, secret: str) -> None:
        """The same as `forget`, of the token or session with this text."""
        self.forget(digest_of(secret))

    async def role_of(self, token: ApiToken) -> Role:
        """The present role of a valid token; `NONE` if its member may not use Signalbox any more.

        Raises:
            Unavailable: If the database or Slack cannot be reached.
        """
        try:
            return (await self._actor(token)).role
        except Forbidden:
            return Role.NONE

    async def _admit(self, secret: str, digest: str, action: Action) -> Actor:
        try:
            token = await self.tokens.authenticate(secret)
        except TokenRefused as refusal:
            if refusal.name is not None:
                actor = Actor(role=Role.NONE, origin=self._origin_of(secret), name=refusal.name)
                await self._audit(actor, refusal.name, digest, action, refusal.problem)
            raise
        try:
            actor = await self._actor(token)
        except Forbidden as refusal:
            member = token.slack_user_id or token.name
            origin = self._origin_of(secret)
            actor = Actor(role=Role.NONE, origin=origin, external_id=member, name=member)
            await self._audit(actor, token.name, digest, action, refusal.code)
            raise
        if is_session(secret):
            return replace(actor, origin=Origin.DASHBOARD, token=None)
        return actor

    def _origin_of(self, secret: str) -> Origin:
        return Origin.DASHBOARD if is_session(secret) else self.origin

    async def _audit(
        self, actor: Actor, token: str, digest: str, action: Action, reason: str
    ) -> None:
        if digest not in self._refused:
            self._refused[digest] = True
            await self.auditor.audit_refusal(replace(actor, token=token), action, reason=reason)

    async def _actor(self, token: ApiToken) -> Actor:
        if token.slack_user_id is None:
            return Actor(
                role=token.role or Role.NONE,
                origin=self.origin,
                user_id=token.user_id,
                external_id=str(token.id),
                name=token.name,
                token=token.name,
            )
        member = await self.members.actor_of(token.slack_user_id)
        role = member.role if token.role is None else min(token.role, member.role)
        return replace(member, role=role, origin=self.origin, token=token.name)


def is_session(secret: str) -> bool:
    """Whether a secret is that of a browser's session, which comes only in a cookie."""
    return secret.startswith(SESSION_PREFIX)


def secret_of(request: web.Request) -> str | None:
    """The token in a request's headers, or the session in its cookie; `None` if it has neither."""
    scheme, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").strip().partition(" ")
    token = credentials.strip() if scheme.lower() == _SCHEME else ""
    token = token or request.headers.get(API_KEY_HEADER, "").strip()
    if token:
        # Anywhere else than in its cookie, a session is worth nothing.
        return f"not a token: {token}" if is_session(token) else token
    return session_cookie(request)
