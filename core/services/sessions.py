"""Sessions: their lists, their legs with what each cost, and the messages in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor, User
from core.domain.paging import COUNT_LIMIT, Excerpt, Page, PageKey
from core.domain.runs.run import Run
from core.domain.runs.session import Message, MessageType, Session
from core.domain.runs.snapshot import RunSnapshot, SessionTotal
from core.domain.sessions.ledger import LedgerEntry, LedgerSum
from core.services import session_names
from core.services.context import ServiceContext, require_permission
from core.services.runs import snapshots
from core.store import ledger, users
from core.store.runs import run_queries, tasks
from core.store.sessions import found_sessions, messages, session_pages


@dataclass(frozen=True, kw_only=True)
class SessionOverview:
    """A session with its totals.

    Attributes:
        newest: Its newest run; `None` if it has none.
        total: `None` if it has no run.
        about: The task of its newest run, or the one that run goes on with; `None` without a run.
        leg: The number of the newest run among those on that task.
    """

    session: Session
    owner: User | None
    newest: Run | None
    total: SessionTotal | None
    about: str | None = None
    leg: int = 1


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A run of a session, with what each of its agent processes used, in the order of attempts.

    Attributes:
        number: Its number in the session, from 1; that of the snapshot counts the runs on one task.
    """

    number: int
    snapshot: RunSnapshot
    entries: Sequence[LedgerEntry]

    @property
    def spent(self) -> LedgerSum:
        """What its agent processes used together."""
        return LedgerSum.of_entries(self.entries)


@dataclass(frozen=True, kw_only=True)
class SessionHistory:
    """A session with all its legs, oldest first.

    Attributes:
        lineage: What the session cost together with those from which it was forked, and with all
            forks of them.
    """

    overview: SessionOverview
    legs: Sequence[Leg]
    lineage: LedgerSum

    @property
    def spent(self) -> LedgerSum:
        """What all legs used together."""
        return sum((leg.spent for leg in self.legs), LedgerSum())


@dataclass(frozen=True, kw_only=True)
class SaidMessage:
    """A message with its author and its run; `None` if it has none."""

    message: Message
    author: User | None
    run_id: str | None
    leg: int | None


@dataclass(frozen=True)
class SessionService:
    """Reads sessions, and gives them names.

    A session is named by its name, or by at least four digits of the beginning of its id.  Each
    method raises `NotAllowed` if the person may not view runs, and `Unavailable` if the database
    cannot be reached.
    """

    context: ServiceContext

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
        """Sessions, newest first, from a place in the list on."""
        choice = session_pages.SessionChoice(
            is_mine=is_mine, user_id=by.user_id, name=name, is_open=is_open
        )
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

    async def recent(
        self, *, by: Actor, is_mine: bool, is_open: bool | None = None, limit: int
    ) -> Sequence[SessionOverview]:
        """The sessions that were used last, the last one first."""
        choice = session_pages.SessionChoice(is_mine=is_mine, user_id=by.user_id, is_open=is_open)
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await session_pages.recently_used(session, choice, limit=limit)
            return await _overviews(session, found)

    async def get(self, target: str, *, by: Actor) -> SessionOverview:
        """One session.

        Raises:
            SessionNotFound: If there is none.
            AmbiguousSession: If several are meant equally.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await found_sessions.find(session, target, user_id=by.user_id)
            return (await _overviews(session, [found]))[0]

    async def history(self, target: str, *, by: Actor) -> SessionHistory:
        """One session with all its legs.  Raises as `get` does."""
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await found_sessions.find(session, target, user_id=by.user_id)
            return await _history(session, found)

    async def history_if_session(self, target: str, *, by: Actor) -> SessionHistory | None:
        """The session that a person means, with all its legs; `None` if they mean a run.

        The beginning of an id that is one of a run's, too, means the run.

        Raises:
            AmbiguousSession: If several sessions are meant equally.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await found_sessions.by_name(session, target, user_id=by.user_id)
            if found is None and not await run_queries.begins_with(session, target):
                found = await found_sessions.by_id_beginning(session, target)
            return None if found is None else await _history(session, found)

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
        """Messages of a session, oldest first, from any place in it in either direction.

        Args:
            target: The session.
            by: The person who asks.
            after: The place after which they begin.
            before: The place before which they end.
            from_end: Whether the last ones of those are wanted, as a chat shows at first.
            types: Only messages of these types; none for all.
            limit: The most messages.

        Raises:
            SessionNotFound: If there is none.
            AmbiguousSession: If several are meant equally.
        """
        is_backward = from_end or (before is not None and after is None)
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            known = await found_sessions.find(session, target, user_id=by.user_id)
            found = await messages.page(
                session,
                known.id,
                after=after,
                before=before,
                from_end=is_backward,
                types=types,
                limit=limit + 1,
            )
            has_more = len(found) > limit
            shown = found[-limit:] if is_backward else found[:limit]
            said = await _said(session, known.id, shown)
        first, last = _place(shown[0]) if shown else None, _place(shown[-1]) if shown else None
        # On the side from which the page was reached something lies, unless that was an end.
        has_earlier = has_more if is_backward else after is not None
        has_later = before is not None if is_backward else has_more
        return known, Excerpt(
            items=said,
            first=first,
            last=last,
            previous=first if has_earlier else None,
            next=last if has_later else None,
        )

    async def rename(self, target: str, name: str | None, *, by: Actor) -> SessionOverview:
        """Give a session another name, or none.

        Raises:
            SessionNotFound: If there is none.
            AmbiguousSession: If several are meant equally.
            NotAllowed: If it is somebody else's, and the person is no operator.
            BadRequest: If no session can have this name.
            SessionNameTaken: If another open session of its owner has it.
        """
        async with self.context.transaction() as session:
            known = await found_sessions.find(session, target, user_id=by.user_id)
            now = self.context.clock()
            changed = await session_names.rename(session, known, name, by=by, now=now)
            return (await _overviews(session, [changed]))[0]

    async def set_open(self, target: str, is_open: bool, *, by: Actor) -> SessionOverview:
        """Close a session, which frees its name, or open it again.

        A closed one opens by itself when it is continued.

        Raises:
            SessionNotFound: If there is none.
            AmbiguousSession: If several are meant equally.
            NotAllowed: If it is somebody else's, and the person is no operator.
            SessionNameTaken: If another open session has its name by now.
        """
        async with self.context.transaction() as session:
            known = await found_sessions.find(session, target, user_id=by.user_id)
            change = session_names.open_again if is_open else session_names.close
            changed = await change(session, known, by=by, now=self.context.clock())
            return (await _overviews(session, [changed]))[0]


async def _overviews(session: AsyncSession, found: Sequence[Session]) -> list[SessionOverview]:
    """The overviews of sessions; the number of queries does not grow with them."""
    ids = [one.id for one in found]
    totals = await run_queries.totals_of_sessions(session, ids)
    newest = await session_pages.newest_runs(session, ids)
    places = await tasks.of_sessions(session, ids)
    owners = await users.by_ids(session, {one.user_id for one in found if one.user_id is not None})
    overviews = []
    for one in found:
        run = newest.get(one.id)
        place = None if run is None else places.get(run.id)
        overviews.append(
            SessionOverview(
                session=one,
                owner=owners.get(one.user_id) if one.user_id else None,
                newest=run,
                total=totals.get(one.id),
                about=None if place is None else place.about,
                leg=1 if place is None else place.leg,
            )
        )
    return overviews


async def _history(session: AsyncSession, found: Session) -> SessionHistory:
    (overview,) = await _overviews(session, [found])
    runs = await run_queries.legs_of_session(session, found.id)
    places = await tasks.of_sessions(session, [found.id])
    cards = {one.run.id: one.card for one in await snapshots.of_listed_runs(session, runs)}
    entries = await ledger.of_runs(session, [run.id for run in runs])
    legs = [
        Leg(
            number=snapshot.leg,
            snapshot=replace(
                snapshot,
                leg=places[snapshot.run.id].leg,
                about=places[snapshot.run.id].about,
                card=cards[snapshot.run.id],
            ),
            entries=entries.get(snapshot.run.id, ()),
        )
        for snapshot in await snapshots.of_session_runs(session, runs)
    ]
    lineage = await ledger.sum_of_lineage(session, runs[0].id) if runs else LedgerSum()
    return SessionHistory(overview=overview, legs=legs, lineage=lineage)


async def _said(
    session: AsyncSession, session_id: UUID, found: Sequence[Message]
) -> list[SaidMessage]:
    runs = await run_queries.legs_of_session(session, session_id)
    numbers: Mapping[UUID, int] = {run.id: number for number, run in enumerate(runs, start=1)}
    ids = {run.id: run.run_id for run in runs}
    authors = await users.by_ids(session, {one.user_id for one in found if one.user_id is not None})
    return [
        SaidMessage(
            message=one,
            author=authors.get(one.user_id) if one.user_id else None,
            run_id=ids.get(one.run_id) if one.run_id else None,
            leg=numbers.get(one.run_id) if one.run_id else None,
        )
        for one in found
    ]


def _place(message: Message) -> PageKey:
    return PageKey(at=message.created_at, id=message.id)
