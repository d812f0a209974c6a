"""The runs that requests name: by id, prefix or session, and the answers given before."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Actor
from core.domain.errors import NotFound
from core.domain.runs.errors import RunIdTooShort, RunNotFound
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import Run
from core.domain.runs.session import Session
from core.services.runs import new_runs
from core.store.runs import run_queries
from core.store.sessions import sessions


async def find_run(session: AsyncSession, target: str, by: Actor, *, min_digits: int = 1) -> Run:
    """Find a run by its id or prefix, or the newest run of a session by its name or id."""
    try:
        return await run_queries.resolve(session, target, min_digits=min_digits)
    except (RunNotFound, RunIdTooShort):
        found = await _find_session(session, target, by)
        session_runs = await run_queries.legs_of_session(session, found.id) if found else []
        if not session_runs:
            raise
        return session_runs[-1]


async def _find_session(session: AsyncSession, target: str, by: Actor) -> Session | None:
    found = await sessions.find_by_name(session, target, user_id=by.user_id)
    if found is not None:
        return found
    try:
        return await sessions.get(session, UUID(target))
    except (ValueError, NotFound):
        return None


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
