"""API tokens: for whom a program calls the API, and for how long."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from core.domain.actor import Role
from core.domain.errors import BadRequest, Conflict, NotFound, OpsError

# Marks a token in a log or a file, for people and for `core.domain.redaction`.
TOKEN_PREFIX = "sbx_"  # noqa: S105 - the beginning of every token is no secret
# 256 bits: nobody guesses a token, so a fast hash protects it as well as a slow one.
_TOKEN_BYTES = 32
MAX_LIFETIME = timedelta(days=3650)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SLACK_USER = re.compile(r"[UW][A-Z0-9]{1,31}")


class TokenProblem(StrEnum):
    """Why a token is refused; the values are for programs."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class ApiToken:
    """One row of `api_tokens`; the token itself is kept nowhere.

    Attributes:
        name: Unique among the tokens that are not revoked.
        role: What the token may do at most; `None` is no limit beside the member's own role.
        slack_user_id: The Slack member as whom it acts, with the role that the member has at the
            time of a request; `None` for a token that acts for itself.
        user_id: The `users` row that owns the runs of a token which acts for itself.
        last_used_at: Its last accepted request, exact to `USE_RESOLUTION`.
    """

    id: UUID
    name: str
    created_at: datetime
    role: Role | None = None
    slack_user_id: str | None = None
    user_id: UUID | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def problem(self, now: datetime) -> TokenProblem | None:
        """Why the token is refused at this time; `None` if it is valid."""
        if self.revoked_at is not None:
            return TokenProblem.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return TokenProblem.EXPIRED
        return None


# The last use is written at most so often, because reads should not write.
USE_RESOLUTION = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class NewToken:
    """A request for a token.

    Attributes:
        lifetime: `None` for a token that does not expire.
    """

    name: str
    role: Role | None = None
    slack_user_id: str | None = None
    lifetime: timedelta | None = None

    def check(self) -> None:
        """Check the request.

        Raises:
            BadToken: If a value is not allowed.
        """
        if not _NAME.fullmatch(self.name):
            raise BadToken(
                "name",
                "A token's name has 1 to 64 letters, digits, dots, hyphens and underscores, and "
                "begins with a letter or a digit.",
            )
        if self.role is None and self.slack_user_id is None:
            raise BadToken("role", "A token needs a role, a Slack member, or both.")
        if self.role is Role.NONE:
            raise BadToken("role", "The role is one of viewer, runner, operator and admin.")
        if self.slack_user_id is not None and not _SLACK_USER.fullmatch(self.slack_user_id):
            raise BadToken("user", "A Slack member is named by an id like `U024BE7LH`.")
        if self.lifetime is not None and not timedelta(0) < self.lifetime <= MAX_LIFETIME:
            raise BadToken("expires", "A token expires after 1 second to 3650 days.")


class BadToken(BadRequest):
    """A token cannot be made as requested.

    Attributes:
        field: The value that is wrong: `name`, `role`, `user` or `expires`.
    """

    code = "bad_token"

    def __init__(self, field: str, user_message: str) -> None:
        super().__init__(f"token with a wrong {field}", user_message=user_message)
        self.field = field


class TokenExists(Conflict):
    """A token that is not revoked has this name."""

    code = "token_exists"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"token {name} exists",
            user_message=f"There is a token `{name}` already. Revoke it, or choose another name.",
        )
        self.name = name


class TokenNotFound(NotFound):
    """No token that is not revoked has this name."""

    code = "token_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"no token {name}", user_message=f"There is no token `{name[:64]}`.")
        self.name = name


_REFUSALS = {
    TokenProblem.MISSING: "This needs an API token, and the request has none.",
    TokenProblem.UNKNOWN: "This API token is not known.",
    TokenProblem.EXPIRED: "This API token has expired.",
    TokenProblem.REVOKED: "This API token was revoked.",
}


class TokenRefused(OpsError):
    """A request has no valid token."""

    code = "unauthenticated"

    def __init__(self, problem: TokenProblem, *, name: str | None = None) -> None:
        super().__init__(f"token {name or ''} refused: {problem}", user_message=_REFUSALS[problem])
        self.problem = problem
        self.name = name


def new_secret() -> str:
    """Make the text of a new token."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def digest_of(secret: str) -> str:
    """What is stored of a token: its SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
