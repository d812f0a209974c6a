"""Signing in to the dashboard: links that are used once, and the sessions of browsers."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from core.domain.errors import NotFound, OpsError

# Marks the secret of a browser's session, for the check of requests and for people.
SESSION_PREFIX = "sbd_"
# 256 bits, as of API tokens.
_SECRET_BYTES = 32
LINK_LIFETIME = timedelta(minutes=10)
# Signing in again takes one command in Slack; a lost laptop is signed in for a week at most.
SESSION_LIFETIME = timedelta(days=7)
MAX_BROWSER_CHARS = 200
_CSRF_CHARS = 32


@dataclass(frozen=True, kw_only=True)
class Person:
    """For whom a link or a session is: a Slack member, or an API token.

    Attributes:
        name: As it is shown to people.
        slack_user_id: The Slack member; `None` for a token.
        token_id: The API token; `None` for a member.
    """

    name: str
    slack_user_id: str | None = None
    token_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class DashboardSession:
    """One row of `dashboard_sessions`: a browser that has signed in.

    Attributes:
        browser: What the browser called itself when it signed in; never trusted.
        address: The network address from which it signed in.
        ended_at: When it was signed out.
    """

    id: UUID
    person: Person
    browser: str
    address: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime
    ended_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it admits requests at this time."""
        return self.ended_at is None and now < self.expires_at


class LinkProblem(StrEnum):
    """Why a link does not sign in; the values are for programs."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    USED = "used"


_PROBLEMS = {
    LinkProblem.UNKNOWN: "This link is not known.",
    LinkProblem.EXPIRED: "This link has expired: links are valid for ten minutes.",
    LinkProblem.USED: "This link was used already: each link signs in once.",
}


class LinkRefused(OpsError):
    """A link does not sign in."""

    code = "sign_in_refused"

    def __init__(self, problem: LinkProblem) -> None:
        super().__init__(f"sign-in link refused: {problem}", user_message=_PROBLEMS[problem])
        self.problem = problem


class SessionNotFound(NotFound):
    """No session of the dashboard has this id, or it is somebody else's."""

    code = "dashboard_session_not_found"

    def __init__(self, session_id: UUID) -> None:
        super().__init__(
            f"no dashboard session {session_id}",
            user_message="There is no such session any more.",
        )
        self.session_id = session_id


def new_link_secret() -> str:
    """Make the secret of a link."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def new_session_secret() -> str:
    """Make the secret of a browser's session."""
    return SESSION_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def csrf_token_of(session_secret: str) -> str:
    """What a page of this session sends with each act, so that no other site's page can act.

    It tells nothing about the secret.
    """
    return hmac.new(session_secret.encode(), b"csrf", hashlib.sha256).hexdigest()[:_CSRF_CHARS]
