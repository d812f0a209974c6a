"""What admits requests: API tokens, and the sessions of browsers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.web.authentication import TokenChecker, is_session
from core.domain.token import ApiToken


@dataclass(frozen=True)
class Credentials:
    """Checks tokens and sessions, each where it is known."""

    tokens: TokenChecker
    sessions: TokenChecker

    async def authenticate(self, secret: str) -> ApiToken:
        """What a secret admits to.

        Raises:
            TokenRefused: If it admits to nothing.
            Unavailable: If the database cannot be reached.
        """
        checker = self.sessions if is_session(secret) else self.tokens
        return await checker.authenticate(secret)

    async def still_valid(self, digests: Collection[str]) -> Mapping[str, ApiToken]:
        """Those that are valid now, by digest.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        tokens = await self.tokens.still_valid(digests)
        rest = [digest for digest in digests if digest not in tokens]
        return {**tokens, **(await self.sessions.still_valid(rest) if rest else {})}
