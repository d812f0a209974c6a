"""Routes of sessions, their legs, their messages and their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from bot.web.api.sessions.answers import (
    LegList,
    MessageList,
    SessionAnswer,
    SessionList,
    leg_list,
    message_list,
    session_answer,
    session_list,
)
from bot.web.api.values import Cursor, PageLimit, SessionPath
from bot.web.route import AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.paging import Excerpt, Page, PageKey
from core.domain.runs.session import MessageType, Session
from core.domain.sessions.names import MAX_SESSION_NAME_CHARS
from core.services.sessions import SaidMessage, SessionHistory, SessionOverview

_TAG = "Sessions"


class SessionListQuery(Parameters):
    """Which sessions to list."""

    mine: bool = Field(default=False, description="Only sessions of the token's owner.")
    name: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="Only sessions of this name; capitals do not matter."
    )
    open: bool | None = Field(
        default=None, description="Only open ones, or only closed ones; both if left out."
    )
    limit: PageLimit = 50
    cursor: Cursor | None = Field(default=None, description="The `next` of the page before.")


class MessageListQuery(Parameters):
    """Which messages to list."""

    limit: PageLimit = 100
    cursor: Cursor | None = Field(
        default=None, description="Only messages after this place: `next` or `last` of a page."
    )
    before: Cursor | None = Field(
        default=None, description="Only messages before this place: `previous` or `first`."
    )
    newest: bool = Field(
        default=False, description="Whether the last of them are wanted, as a chat shows at first."
    )
    type: list[MessageType] = Field(default_factory=list, description="May be repeated.")


class NameBody(Parameters):
    """What to call a session."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_SESSION_NAME_CHARS)] | None = Field(
        description="`null` takes its name away."
    )


class SessionReader(Protocol):
    """Reads sessions and gives them names; see `SessionService`."""

    async def page(
        self,
        *,
        by: Actor,
        is_mine: bool,
        name: str | None,
        after: PageKey | None,
        limit: int,
        is_open: bool | None = None,
    ) -> Page[SessionOverview]:
        """A page of sessions."""
        ...

    async def get(self, target: str, *, by: Actor) -> SessionOverview:
        """One session."""
        ...

    async def history(self, target: str, *, by: Actor) -> SessionHistory:
        """One session with its legs."""
        ...

    async def messages(
        self,
        target: str,
        *,
        by: Actor,
        after: PageKey | None = None,
        before: PageKey | None = None,
        from_end: bool = False,
        types: Collection[MessageType] = (),
        limit: int,
    ) -> tuple[Session, Excerpt[SaidMessage]]:
        """A page of a session's messages."""
        ...

    async def rename(self, target: str, name: str | None, *, by: Actor) -> SessionOverview:
        """Give a session another name."""
        ...

    async def set_open(self, target: str, is_open: bool, *, by: Actor) -> SessionOverview:
        """Close a session, or open it again."""
        ...


@dataclass(frozen=True)
class SessionRoutes:
    """Answers sessions and what is in them."""

    sessions: SessionReader

    async def list_sessions(
        self, call: Call[NoParameters, SessionListQuery, NoParameters]
    ) -> SessionList:
        """A page of sessions."""
        query = call.query
        return session_list(
            await self.sessions.page(
                by=call.actor,
                is_mine=query.mine,
                name=query.name,
                is_open=query.open,
                after=query.cursor,
                limit=query.limit,
            )
        )

    async def get_session(
        self, call: Call[SessionPath, NoParameters, NoParameters]
    ) -> SessionAnswer:
        """One session."""
        return session_answer(await self.sessions.get(call.path.session_id, by=call.actor))

    async def list_legs(self, call: Call[SessionPath, NoParameters, NoParameters]) -> LegList:
        """The legs of a session."""
        return leg_list(await self.sessions.history(call.path.session_id, by=call.actor))

    async def list_messages(
        self, call: Call[SessionPath, MessageListQuery, NoParameters]
    ) -> MessageList:
        """A page of messages."""
        query = call.query
        session, found = await self.sessions.messages(
            call.path.session_id,
            by=call.actor,
            after=query.cursor,
            before=query.before,
            from_end=query.newest,
            types=query.type,
            limit=query.limit,
        )
        return message_list(session, found)

    async def rename(self, call: Call[SessionPath, NoParameters, NameBody]) -> SessionAnswer:
        """Give a session another name."""
        renamed = await self.sessions.rename(call.path.session_id, call.body.name, by=call.actor)
        return session_answer(renamed)

    async def close(self, call: Call[SessionPath, NoParameters, NoParameters]) -> SessionAnswer:
        """Close a session."""
        return session_answer(
            await self.sessions.set_open(call.path.session_id, False, by=call.actor)
        )

    async def reopen(self, call: Call[SessionPath, NoParameters, NoParameters]) -> SessionAnswer:
        """Open a session again."""
        return session_answer(
            await self.sessions.set_open(call.path.session_id, True, by=call.actor)
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
                path="/sessions/{session_id}/legs",
                name="list_legs",
                summary="The legs of a session, with what each of them and all of them cost",
                tag=_TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=SessionPath,
                query=NoParameters,
                body=NoParameters,
                answer=LegList,
                handler=self.list_legs,
                description="The ledger: one entry for each agent process; what it reported, what "
                "was estimated for it and what is unknown stand apart in every sum.",
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
                description="A chat begins with `newest=true`, reads earlier messages with "
                "`before` and later ones with `cursor`.",
            ),
            Route(
                method=Method.POST,
                path="/sessions/{session_id}/rename",
                name="rename_session",
                summary="Give a session another name",
                tag=_TAG,
                role=Role.RUNNER,
                action=Action.CONTINUE,
                path_parameters=SessionPath,
                query=NoParameters,
                body=NameBody,
                answer=SessionAnswer,
                handler=self.rename,
            ),
            _change(
                "close",
                "Close a session, which frees its name; it can still be continued",
                self.close,
            ),
            _change("reopen", "Open a closed session again, with its name", self.reopen),
        ]


def _change(
    act: str,
    summary: str,
    handler: Callable[[Call[SessionPath, NoParameters, NoParameters]], Awaitable[SessionAnswer]],
) -> Route[SessionPath, NoParameters, NoParameters]:
    """A route that changes a session, and needs nothing but its name."""
    return Route(
        method=Method.POST,
        path=f"/sessions/{{session_id}}/{act}",
        name=f"{act}_session",
        summary=summary,
        tag=_TAG,
        role=Role.RUNNER,
        action=Action.CONTINUE,
        path_parameters=SessionPath,
        query=NoParameters,
        body=NoParameters,
        answer=SessionAnswer,
        handler=handler,
    )
