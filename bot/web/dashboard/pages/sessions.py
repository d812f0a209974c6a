"""The pages of sessions: their list, and one with its legs, its costs and what was said in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import Field

from bot.web.api.sessions.answers import leg_list, message_list, session_answer, session_list
from bot.web.api.table import ApiServices
from bot.web.api.values import Cursor, SessionPath, cursor_of
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.dashboard.tones import tone_of
from bot.web.route import LenientParameters, NoParameters
from bot.words.markup import PLAIN
from bot.words.runs.states import state_words
from core.domain.feed import ChangeKind
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot

_PAGE_SIZE = 50
_MESSAGES = 50


class SessionsQuery(LenientParameters):
    """Which sessions to list.

    Attributes:
        open: Only open ones, or only closed ones.
    """

    mine: bool = False
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    open: bool | None = None
    cursor: Cursor | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are set, as the address has them."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"cursor"})


class SessionQuery(LenientParameters):
    """Which messages of a session to show: the newest, or those before a place."""

    before: Cursor | None = None


@dataclass(frozen=True)
class SessionPages:
    """Shows sessions."""

    services: ApiServices

    async def load_list(self, call: PageCall[NoParameters, SessionsQuery]) -> Content:
        """A page of sessions, newest first."""
        query = call.query
        found = await self.services.sessions.page(
            by=call.actor,
            is_mine=query.mine,
            name=query.name,
            is_open=query.open,
            after=query.cursor,
            limit=_PAGE_SIZE,
        )
        shown = session_list(found)
        given = query.given
        newest = [
            None if one.newest is None else (tone_of(one.newest), _words(one.newest))
            for one in found.items
        ]
        views: list[tuple[str, dict[str, Any]]] = [
            ("All", {}),
            ("Open", {"open": "true"}),
            ("Closed", {"open": "false"}),
            ("Mine", {"mine": "true"}),
        ]
        present = {name: str(value).lower() for name, value in given.items() if name != "name"}
        return Content(
            title="Sessions",
            sections=(
                Section(
                    name="sessions",
                    template="sessions/list.html",
                    values={
                        "query": query,
                        "shown": shown,
                        "rows": list(zip(shown.sessions, newest, strict=True)),
                        "views": [
                            (label, _url(filters), filters == present) for label, filters in views
                        ],
                        "is_filtered": bool(given),
                        "next_url": None
                        if shown.next is None
                        else _url({**given, "cursor": shown.next}),
                        "first_url": None if query.cursor is None else _url(given),
                    },
                ),
            ),
        )

    async def load_one(self, call: PageCall[SessionPath, SessionQuery]) -> Content:
        """A session."""
        services, target = self.services, call.path.session_id
        history = await services.sessions.history(target, by=call.actor)
        known = history.overview.session
        session, said = await services.sessions.messages(
            str(known.id),
            by=call.actor,
            before=call.query.before,
            from_end=call.query.before is None,
            limit=_MESSAGES,
        )
        shown, legs = session_answer(history.overview), leg_list(history)
        newest = history.overview.newest
        tones = [tone_of(leg.snapshot.run) for leg in history.legs]
        earlier = cursor_of(said.previous)
        return Content(
            title=shown.name or shown.task or f"Session {shown.session_id}",
            sections=(
                Section(
                    name="head",
                    template="sessions/head.html",
                    values={"session": shown, "legs": legs, "newest": newest},
                ),
                Section(
                    name="legs",
                    template="sessions/legs.html",
                    values={"legs": list(zip(legs.legs, tones, strict=True)), "total": legs},
                ),
                Section(
                    name="messages",
                    template="sessions/messages.html",
                    values={
                        "messages": message_list(session, said).messages,
                        "is_newest": call.query.before is None,
                        "newest_url": f"/sessions/{shown.session_id}",
                        "earlier_url": None
                        if earlier is None
                        else f"/sessions/{shown.session_id}?{urlencode({'before': earlier})}",
                    },
                ),
            ),
            owners=frozenset() if known.user_id is None else frozenset({known.user_id}),
            subjects=frozenset(leg.run_id for leg in legs.legs if leg.completed_at is None) or None,
        )

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/sessions",
                name="sessions",
                nav="sessions",
                path_parameters=NoParameters,
                query=SessionsQuery,
                load=self.load_list,
                changes=frozenset({ChangeKind.RUN}),
                is_personal=lambda query: query.mine,
            ),
            Page(
                path="/sessions/{session_id}",
                name="session",
                nav="sessions",
                path_parameters=SessionPath,
                query=SessionQuery,
                load=self.load_one,
                changes=frozenset({ChangeKind.RUN}),
            ),
        ]


def _words(run: Run) -> str:
    return state_words(RunSnapshot(run=run), PLAIN)


def _url(filters: dict[str, Any]) -> str:
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in filters.items()
    }
    return f"/sessions?{urlencode(given)}" if given else "/sessions"
