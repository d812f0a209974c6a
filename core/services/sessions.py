"""Sessions and the messages in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor, User
from core.domain.paging import COUNT_LIMIT, Page, PageKey
from core.domain.runs.run import Run
from core.domain.runs.session import Message, Session
from core.domain.runs.snapshot import SessionTotal
from core.services.context import ServiceContext, require_permission
from core.store import users
from core.store.runs import run_queries
from core.store.sessions import messages, session_pages, sessions


@dataclass(frozen=True, kw_only=True)
class SessionOverview:
    """A session with its totals.

    Attributes:
        newest: Its newest run; `None` if it has none.
        total: `None` if it has no run.
    """

    session: Session
    owner: User | None
    newest: Run | None
    total: SessionTotal | None


@dataclass(frozen=True)
class SessionService:
    """Reads sessions."""

    context: ServiceContext

    async def page(
        self, *, by: Actor, is_mine: bool, name: str | None, after: PageKey | None, limit: int
    ) -> Page[SessionOverview]:
        """Sessions, newest first, from a place in the list on.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        choice = session_pages.SessionChoice(is_mine=is_mine, user_id=by.user_id, name=name)
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await session_pages.page(session, choice, after=after, limit=limit + 1)
            total = await session_pages.count(session, choice, at_most=COUNT_LIMIT + 1)
            shown = found[:limit]
            last = shown[-1] if len(found) > limit else None
            return Page(
                items=await _overviews(session, shown),
                next=None if last is None else PageKey(at=last.created_at, id=last.id),
                total=min(total, COUNT_LIMIT),
                is_total_exact=total <= COUNT_LIMIT,
            )

    async def get(self, session_id: UUID, *, by: Actor) -> SessionOverview:
        """One session.

        Raises:
            SessionNotFound: If there is none with this id.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await sessions.get(session, session_id)
            return (await _overviews(session, [found]))[0]

    async def messages(
        self, session_id: UUID, *, by: Actor, after: PageKey | None, limit: int
    ) -> tuple[Sequence[Message], PageKey | None]:
        """The messages of a session after a place in it, oldest first, and the next place.

        Raises:
            SessionNotFound: If there is none with this id.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            await sessions.get(session, session_id)
            found = await messages.page(session, session_id, after=after, limit=limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return found[:limit], None if last is None else PageKey(at=last.created_at, id=last.id)


async def _overviews(session: AsyncSession, found: Sequence[Session]) -> list[SessionOverview]:
    """The overviews of sessions; the number of queries does not grow with them."""
    ids = [one.id for one in found]
    totals = await run_queries.totals_of_sessions(session, ids)
    newest = await session_pages.newest_runs(session, ids)
    owners = await users.by_ids(session, {one.user_id for one in found if one.user_id is not None})
    return [
        SessionOverview(
            session=one,
            owner=owners.get(one.user_id) if one.user_id else None,
            newest=newest.get(one.id),
            total=totals.get(one.id),
        )
        for one in found
    ]
