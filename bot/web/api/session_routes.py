"""Routes of sessions and their messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.api.values import Cursor, PageLimit, SessionPath, cursor_of, money, person
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.paging import Page, PageKey
from core.domain.runs.run import CostSource, RunStatus
from core.domain.runs.session import Message, MessageRole, MessageType
from core.services.sessions import SessionOverview

_TAG = "Sessions"


class SessionListQuery(Parameters):
    """Which sessions to list."""

    mine: bool = Field(default=False, description="Only sessions of the token's owner.")
    name: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    limit: PageLimit = 50
    cursor: Cursor | None = Field(default=None, description="The `next` of the page before.")


class MessageListQuery(Parameters):
    """Which messages to list."""

    limit: PageLimit = 100
    cursor: Cursor | None = Field(default=None, description="The `next` of the page before.")


class SessionAnswer(Answer):
    """A conversation with its workspace.

    Attributes:
        cost: Of all its runs, in US dollars; `null` if none is known.
        runs_without_cost: How many ended runs are missing in `cost`.
    """

    session_id: UUID
    name: str | None
    workflow_name: str
    owner: str | None
    repository: str | None
    branch: str | None
    created_at: datetime
    run_count: int
    turns: int
    cost: float | None
    cost_source: CostSource | None
    runs_without_cost: int
    newest_run_id: str | None
    newest_run_status: RunStatus | None
    can_continue: bool


class SessionList(Answer):
    """A page of sessions, newest first; the figures are as in the list of runs."""

    sessions: list[SessionAnswer]
    total_count: int
    total_count_is_exact: bool
    next: str | None


class MessageAnswer(Answer):
    """Words of a person or of the agent."""

    message_id: UUID
    role: MessageRole
    type: MessageType
    text: str
    created_at: datetime


class MessageList(Answer):
    """A page of messages, oldest first."""

    session_id: UUID
    messages: list[MessageAnswer]
    next: str | None


class SessionReader(Protocol):
    """Reads sessions; see `SessionService`."""

    async def page(
        self, *, by: Actor, is_mine: bool, name: str | None, after: PageKey | None, limit: int
    ) -> Page[SessionOverview]:
        """A page of sessions."""
        ...

    async def get(self, session_id: UUID, *, by: Actor) -> SessionOverview:
        """One session."""
        ...

    async def messages(
        self, session_id: UUID, *, by: Actor, after: PageKey | None, limit: int
    ) -> tuple[Sequence[Message], PageKey | None]:
        """A page of a session's messages."""
        ...


@dataclass(frozen=True)
class SessionRoutes:
    """Answers sessions and their messages."""

    sessions: SessionReader

    async def list_sessions(
        self, call: Call[NoParameters, SessionListQuery, NoParameters]
    ) -> SessionList:
        """A page of sessions."""
        query = call.query
        found = await self.sessions.page(
            by=call.actor,
            is_mine=query.mine,
            name=query.name,
            after=query.cursor,
            limit=query.limit,
        )
        return SessionList(
            sessions=[session_answer(one) for one in found.items],
            total_count=found.total,
            total_count_is_exact=found.is_total_exact,
            next=cursor_of(found.next),
        )

    async def get_session(
        self, call: Call[SessionPath, NoParameters, NoParameters]
    ) -> SessionAnswer:
        """One session."""
        return session_answer(await self.sessions.get(call.path.session_id, by=call.actor))

    async def list_messages(
        self, call: Call[SessionPath, MessageListQuery, NoParameters]
    ) -> MessageList:
        """A page of messages."""
        found, following = await self.sessions.messages(
            call.path.session_id,
            by=call.actor,
            after=call.query.cursor,
            limit=call.query.limit,
        )
        return MessageList(
            session_id=call.path.session_id,
            messages=[
                MessageAnswer(
                    message_id=one.id,
                    role=one.role,
                    type=one.message_type,
                    text=one.text_content,
                    created_at=one.created_at,
                )
                for one in found
            ],
            next=cursor_of(following),
        )

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.GET,
                path="/sessions",
                name="list_sessions",
                summary="A page of sessions, newest first",
                tag=_TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=NoParameters,
                query=SessionListQuery,
                body=NoParameters,
                answer=SessionList,
                handler=self.list_sessions,
            ),
            Route(
                method=Method.GET,
                path="/sessions/{session_id}",
                name="get_session",
                summary="A session with its totals",
                tag=_TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=SessionPath,
                query=NoParameters,
                body=NoParameters,
                answer=SessionAnswer,
                handler=self.get_session,
            ),
            Route(
                method=Method.GET,
                path="/sessions/{session_id}/messages",
                name="list_messages",
                summary="What people and the agent said in a session, oldest first",
                tag=_TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=SessionPath,
                query=MessageListQuery,
                body=NoParameters,
                answer=MessageList,
                handler=self.list_messages,
            ),
        ]


def session_answer(overview: SessionOverview) -> SessionAnswer:
    """A session as JSON.  Pure."""
    session, total, newest = overview.session, overview.total, overview.newest
    return SessionAnswer(
        session_id=session.id,
        name=session.name,
        workflow_name=session.agent_name,
        owner=person(overview.owner),
        repository=session.git_repo,
        branch=session.git_branch,
        created_at=session.created_at,
        run_count=0 if total is None else total.legs,
        turns=0 if total is None else total.turns,
        cost=None if total is None else money(total.cost_usd),
        cost_source=None if total is None else total.cost_source,
        runs_without_cost=0 if total is None else total.unknown_legs,
        newest_run_id=None if newest is None else newest.run_id,
        newest_run_status=None if newest is None else newest.status,
        can_continue=newest is not None and newest.can_continue,
    )
