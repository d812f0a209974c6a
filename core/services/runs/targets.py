"""The runs that requests name: by id, prefix or session, and the answers given before."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Actor
from core.domain.runs.errors import RunIdTooShort, RunNotFound
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import Run, whole_run_id
from core.domain.runs.session import Session
from core.services.runs import new_runs
from core.store.runs import run_queries
from core.store.sessions import found_sessions


async def find_run(session: AsyncSession, target: str, by: Actor, *, min_digits: int = 1) -> Run:
    """Find the run that a person means.

    That is, in this order: the run with this id; the newest run of the session with this name;
    the run whose id begins so; the newest run of the session whose id begins so.

    Raises:
        RunNotFound: If there is none.
        RunIdTooShort: If it is the beginning of a run's id with fewer than `min_digits` digits.
        AmbiguousRun, AmbiguousSession: If several are meant equally.
    """
    if whole_run_id(target) is None:
        named = await found_sessions.by_name(session, target, user_id=by.user_id)
        newest = await _newest_run(session, named)
        if newest is not None:
            return newest
    try:
        return await run_queries.resolve(session, target, min_digits=min_digits)
    except (RunNotFound, RunIdTooShort):
        found = await found_sessions.by_id_beginning(session, target)
        newest = await _newest_run(session, found)
        if newest is None:
            raise
        return newest


async def _newest_run(session: AsyncSession, found: Session | None) -> Run | None:
    legs = [] if found is None else await run_queries.legs_of_session(session, found.id)
    return legs[-1] if legs else None


def earlier_continuation(
    request: ContinueRequest, target: Run, session_runs: Sequence[Run]
) -> Run | None:
    """The run that answers a request which must not start another one; `None` if it may."""
    delivered_before = next(
        (
            leg
            for leg in session_runs
            if leg.metadata.get(new_runs.REQUEST_FIELD) == request.request_key
        ),
        None,
    )
    if delivered_before is not None:
        return delivered_before
    newest = session_runs[-1]
    continuation = next((leg for leg in session_runs if leg.parent_run_id == target.id), None)
    if continuation is None:
        return None
    if newest.is_live:
        # A message must not get lost: with one, the session is busy.
        says_nothing_new = request.is_click or request.message is None
        return continuation if continuation.id == newest.id and says_nothing_new else None
    return newest if request.is_click else None
