"""Requests to kill one run, recorded in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.errors import Conflict
from core.domain.fleet.worker_message import WorkerMessageKind
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.errors import IllegalTransition
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.request import KillRequest
from core.domain.runs.run import MIN_RUN_ID_DIGITS, Run, RunStatus, StopReason
from core.domain.steps.fold import end_steps
from core.queue import jobs
from core.services.context import audit_entry, require_permission
from core.services.fleet.admission import admit
from core.services.fleet.worker_inbox import send_to_worker
from core.store import audit, events, steps, terminations
from core.store.fleet import attempts
from core.store.runs import run_queries, runs


class AlreadyEnded(Conflict):
    """A run that has ended cannot be killed."""

    code = "already_ended"

    def __init__(self, run: Run) -> None:
        super().__init__(
            f"{run.run_id} has ended as {run.status}",
            user_message=f"Run `{run.run_id}` has already ended ({run.status}); nothing of it "
            "is running.",
        )
        self.run = run


async def find_killable(session: AsyncSession, target: str, by: Actor) -> Run:
    """Find the run with this id or prefix, if the person may kill it; it may have ended.

    Raises:
        RunNotFound: If no run has this id.
        RunIdTooShort: If the prefix has fewer than `MIN_RUN_ID_DIGITS` digits.
        NotAllowed: If the run is somebody else's and the person is no operator.
    """
    run = await run_queries.resolve(session, target, min_digits=MIN_RUN_ID_DIGITS)
    require_permission(by, Action.KILL, run)
    return run


async def request_kill(
    session: AsyncSession, run: Run, request: KillRequest, *, by: Actor, now: datetime
) -> Termination:
    """Record the request to kill a live run, and send it to the run's worker.

    The caller has checked the permission.  A pending run without processes is ended at once.
    This may admit other runs, so call it last in a transaction.

    Raises:
        RunNotFound: If the run was deleted meanwhile.
        AlreadyEnded: If it ended meanwhile.
    """
    try:
        # Locks the row: the run neither begins nor ends before the commit.
        run = await runs.request_kill(session, run.run_id, now=now)
    except IllegalTransition:
        raise AlreadyEnded(await run_queries.get(session, run.run_id)) from None
    termination = await _record(session, run, request, by, now)
    kind = WorkerMessageKind.FORCE_KILL if request.force else WorkerMessageKind.KILL
    await send_to_worker(session, run, kind, now=now)
    if not await _has_no_process(session, run):
        return termination
    if run.job_id is not None:
        await jobs.abort(session, run.job_id)
    return await _end_pending_run(session, run, termination, by, now)


async def _record(
    session: AsyncSession, run: Run, request: KillRequest, by: Actor, now: datetime
) -> Termination:
    """Open a termination of the run or join the open one, and audit the request once."""
    termination = await terminations.open_or_join(
        session,
        Termination(
            id=uuid4(),
            run_id=run.id,
            phase=Phase.REQUESTED,
            requested_at=now,
            requested_by=by.user_id,
            requested_by_name=by.name,
            requested_from=by.origin,
            reason=request.reason,
            force=request.force,
        ),
    )
    await audit.record_once(
        session,
        audit_entry(by, Action.KILL, now, run=run, reason=request.reason, force=request.force),
        request_key=request.request_key,
    )
    return termination


async def _has_no_process(session: AsyncSession, run: Run) -> bool:
    """Whether a run is pending, and all its earlier attempts are proven gone."""
    if run.status is not RunStatus.PENDING:
        return False
    return not await attempts.unchecked_hosts(session, run.id)


async def _end_pending_run(
    session: AsyncSession, run: Run, termination: Termination, by: Actor, now: datetime
) -> Termination:
    """End a run that no worker executes, and admit the next one in its place."""
    confirmed = await terminations.advance(session, termination.id, Phase.CONFIRMED, now=now)
    plan = tuple(await steps.of_run(session, run.id))
    left = end_steps(plan, stop_reason=StopReason.KILLED, now=now)
    await steps.replace(session, run.id, left)
    await runs.finish(session, run.run_id, attempt=None, stop_reason=StopReason.KILLED, now=now)
    await events.append(
        session,
        run.id,
        run.attempt,
        [
            EventRecord(
                kind=EventKind.RUN_ENDED,
                at=now,
                data={"stop_reason": StopReason.KILLED, "by": by.name},
            )
        ],
    )
    await admit(session, now=now)
    return confirmed
