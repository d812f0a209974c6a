"""Routes about signing in to the dashboard: links, and the sessions of browsers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.sign_in import LINK_LIFETIME, DashboardSession


class DashboardAccess(Protocol):
    """Makes links, and lists and ends sessions; see `SignInService`."""

    async def make_link(self, *, by: Actor) -> str:
        """The secret of a new link."""
        ...

    async def list_sessions(self, *, by: Actor) -> Sequence[DashboardSession]:
        """The sessions that are signed in."""
        ...

    async def end_session(self, session_id: UUID, *, by: Actor) -> None:
        """Sign a browser out."""
        ...


class SignInLink(Answer):
    """A link that signs its person in to the dashboard, once.

    Attributes:
        path: Below the address of the server.
    """

    path: str
    valid_seconds: int


class BrowserSession(Answer):
    """A browser that is signed in to the dashboard.

    Attributes:
        browser: What it called itself.
        address: The network address from which it signed in.
    """

    id: UUID
    name: str
    browser: str
    address: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime


class BrowserSessions(Answer):
    """The browsers that are signed in, newest first."""

    sessions: list[BrowserSession]


class EndedSession(Answer):
    """A browser that was signed out."""

    id: UUID


class SessionPath(Parameters):
    """Names a session."""

    session_id: UUID


@dataclass(frozen=True)
class DashboardRoutes:
    """Makes links, and lists and ends sessions."""

    access: DashboardAccess

    async def make_link(self, call: Call[NoParameters, NoParameters, NoParameters]) -> SignInLink:
        """A new link for the owner of the token."""
        secret = await self.access.make_link(by=call.actor)
        return SignInLink(
            path=sign_in_path(secret), valid_seconds=int(LINK_LIFETIME.total_seconds())
        )

    async def list_sessions(
        self, call: Call[NoParameters, NoParameters, NoParameters]
    ) -> BrowserSessions:
        """The browsers that are signed in."""
        found = await self.access.list_sessions(by=call.actor)
        return BrowserSessions(
            sessions=[
                BrowserSession(
                    id=one.id,
                    name=one.person.name,
                    browser=one.browser,
                    address=one.address,
                    created_at=one.created_at,
                    expires_at=one.expires_at,
                    last_used_at=one.last_used_at,
                )
                for one in found
            ]
        )

    async def end_session(
        self, call: Call[SessionPath, NoParameters, NoParameters]
    ) -> EndedSession:
        """Sign a browser out."""
        await self.access.end_session(call.path.session_id, by=call.actor)
        return EndedSession(id=call.path.session_id)

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.POST,
                path="/dashboard/links",
                name="make_sign_in_link",
                summary="A link that signs the caller in to the dashboard, once",
                tag="Dashboard",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=NoParameters,
                query=NoParameters,
                body=NoParameters,
                answer=SignInLink,
                handler=self.make_link,
            ),
            Route(
                method=Method.GET,
                path="/dashboard/sessions",
                name="list_dashboard_sessions",
                summary="The browsers that are signed in: an admin sees all, others their own",
                tag="Dashboard",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=NoParameters,
                query=NoParameters,
                body=NoParameters,
                answer=BrowserSessions,
                handler=self.list_sessions,
            ),
            Route(
                method=Method.DELETE,
                path="/dashboard/sessions/{session_id}",
                name="end_dashboard_session",
                summary="Sign a browser out",
                tag="Dashboard",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=SessionPath,
                query=NoParameters,
                body=NoParameters,
                answer=EndedSession,
                handler=self.end_session,
            ),
        ]


def sign_in_path(secret: str) -> str:
    """The address of a link, below the address of the server."""
    return f"/sign-in?key={secret}"
