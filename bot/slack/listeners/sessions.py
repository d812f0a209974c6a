"""Sessions: lists, one with its legs, and changes of their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.slack.commands.command import ChangeSession, ListSessions, SessionCommand, ShowSession
from bot.slack.views.errors import private_message
from bot.slack.views.message import Message
from bot.slack.views.runs.links import ThreadLinks
from bot.slack.views.runs.sessions import (
    MAX_ROWS,
    session_changed_words,
    session_list_message,
    session_message,
)
from core.domain.actor import Actor
from core.domain.runs.session import SessionNotFound
from core.services.sessions import SessionHistory, SessionOverview


class Sessions(Protocol):
    """Reads sessions and gives them names; see `SessionService`."""

    async def recent(
        self, *, by: Actor, is_mine: bool, is_open: bool | None = None, limit: int
    ) -> Sequence[SessionOverview]:
        """The sessions that were used last."""
        ...

    async def history(self, target: str, *, by: Actor) -> SessionHistory:
        """One session with its legs."""
        ...

    async def history_if_session(self, target: str, *, by: Actor) -> SessionHistory | None:
        """The session that is meant; `None` if it is a run."""
        ...

    async def rename(self, target: str, name: str | None, *, by: Actor) -> SessionOverview:
        """Give a session another name."""
        ...

    async def set_open(self, target: str, is_open: bool, *, by: Actor) -> SessionOverview:
        """Close a session, or open it again."""
        ...


class NoSessions:
    """No session at all; for a process that does not serve them."""

    async def recent(
        self,
        *,
        by: Actor,  # noqa: ARG002
        is_mine: bool,  # noqa: ARG002
        is_open: bool | None = None,  # noqa: ARG002
        limit: int,  # noqa: ARG002
    ) -> Sequence[SessionOverview]:
        """None."""
        return ()

    async def history(self, target: str, *, by: Actor) -> SessionHistory:  # noqa: ARG002
        """None.

        Raises:
            SessionNotFound: Always.
        """
        raise SessionNotFound(target)

    async def history_if_session(
        self,
        target: str,  # noqa: ARG002
        *,
        by: Actor,  # noqa: ARG002
    ) -> SessionHistory | None:
        """None."""
        return None

    async def rename(self, target: str, name: str | None, *, by: Actor) -> SessionOverview:  # noqa: ARG002
        """None.

        Raises:
            SessionNotFound: Always.
        """
        raise SessionNotFound(target)

    async def set_open(self, target: str, is_open: bool, *, by: Actor) -> SessionOverview:  # noqa: ARG002
        """None.

        Raises:
            SessionNotFound: Always.
        """
        raise SessionNotFound(target)


NO_SESSIONS = NoSessions()


@dataclass(frozen=True)
class SessionActions:
    """What people ask of sessions, each answered in private."""

    sessions: Sessions
    links: ThreadLinks

    async def answer(self, command: SessionCommand, actor: Actor) -> Message:
        """The answer to a command about sessions."""
        match command:
            case ListSessions(is_mine=is_mine, is_open=is_open):
                found = await self.sessions.recent(
                    by=actor, is_mine=is_mine, is_open=is_open, limit=MAX_ROWS
                )
                return session_list_message(found, kind=_kind(command))
            case ShowSession(target=target):
                history = await self.sessions.history(target, by=actor)
                return session_message(history, links=self.links)
            case ChangeSession(name=str() as name):
                changed = await self.sessions.rename(command.target, name, by=actor)
                return private_message(session_changed_words(changed, former=command.target))
            case ChangeSession():
                changed = await self.sessions.set_open(command.target, command.is_open, by=actor)
                return private_message(session_changed_words(changed))

    async def status(self, target: str, actor: Actor) -> Message | None:
        """The status of a session; `None` if a run is meant."""
        history = await self.sessions.history_if_session(target, by=actor)
        return None if history is None else session_message(history, links=self.links)


def _kind(command: ListSessions) -> str:
    state = {None: "", True: "open ", False: "closed "}[command.is_open]
    return f"{state}sessions{' of yours' if command.is_mine else ''}"
