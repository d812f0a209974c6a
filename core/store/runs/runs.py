"""Creation of runs, and changes of them, each as a single compare-and-set statement.

The conditions are derived from the domain's `TRANSITIONS`; this module lists no statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import Integer, case, cast, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.errors import Conflict
from core.domain.runs.changes import RunChanges
from core.domain.runs.errors import AlreadyRequested, SessionBusy
from core.domain.runs.run import LIVE_STATUSES, Run, RunStatus, StopReason, WaitingOn
from core.store.database import measuring
from core.store.runs.columns import changed_columns, new_run_columns, to_run
from core.store.runs.compare_and_set import can_become, raise_refused, time_literal, write
from core.store.runs.run_queries import find_by_request, live_of_session
from core.store.tables.runs import RunRow

# The run that prevented an insert may have ended before it is read; then the insert is retried.
_ADD_ATTEMPTS = 5
# Built once: an alias takes 3 ms to build.
_sibling = aliased(RunRow)


async def add(session: AsyncSession, run: Run) -> None:
    """Add a run, unless its session has a live one or its request has started one before.

    A refusal is no error in Postgres, so the caller's transaction stays usable.

    Raises:
        AlreadyRequested: If a run has this `request_key`.
        SessionBusy: If the session has a live run.
        Conflict: If the insert fails several times because other runs come and go.
    """
    thread_version = select(func.max(_sibling.version)).where(_sibling.thread_key == run.thread_key)
    version = func.coalesce(thread_version.scalar_subquery(), 0) + 1
    statement = (
        insert(RunRow)
        .values(**new_run_columns(run), version=version)
        .on_conflict_do_nothing()
        .returning(RunRow.id)
    )
    for _ in range(_ADD_ATTEMPTS):
        if await session.scalar(statement) is not None:
            return
        if run.request_key is not None:
            known = await find_by_request(session, run.request_key)
            if known is not None:
                raise AlreadyRequested(run.request_key, known.run_id)
        live = await live_of_session(session, run.session_id)
        if live is not None:
            raise SessionBusy(live.run_id)
    raise Conflict(
        f"{run.run_id} could not be added",
        user_message="That run could not be started just now. Try again.",
    )


async def begin(
    session: AsyncSession,
    run_id: str,
    *,
    attempt: int,
    worker_id: str,
    now: datetime,
    job_id: int | None = None,
) -> Run:
    """Set a pending run to `running` for a worker; only one worker succeeds.

    `started_at` remains the start of the first attempt.

    Args:
        session: An open session.
        run_id: The run.
        attempt: The attempt that begins.
        worker_id: The worker that executes it.
        now: The present time.
        job_id: The job that the worker executes.  It must be the run's present job, because a kill
            of a pending run aborts that job.  `None` skips this check.

    Raises:
        RunNotFound: If no run has this id.
        StaleAttempt: If the run has a newer attempt.
        IllegalTransition: If it is not pending, has another job, or a kill was requested.
    """
    row = await write(
        session,
        run_id,
        can_become(RunStatus.RUNNING),
        RunRow.attempt == attempt,
        RunRow.kill_requested_at.is_(None),
        *([] if job_id is None else [RunRow.job_id == job_id]),
        now=now,
        status=RunStatus.RUNNING,
        worker_id=worker_id,
        started_at=func.coalesce(RunRow.started_at, time_literal(now)),
        last_activity_at=now,
        retry_at=None,
        waiting_on=None,
    )
    if row is None:
        await raise_refused(session, run_id, attempt, RunStatus.RUNNING)
    run = to_run(row)
    measuring.note_began(session, run)
    return run


async def finish(
    session: AsyncSession,
    run_id: str,
    *,
    attempt: int | None,
    stop_reason: StopReason,
    now: datetime,
    **final: Unpack[RunChanges],
) -> Run:
    """Give a run its final status, once.

    Args:
        session: An open session.
        run_id: The run.
        attempt: The writer's attempt; `None` only for `killed`, which ends any attempt.
        stop_reason: Why it ended; decides the status.
        now: The present time.
        final: The last values of other fields, as in `change`.  A `result` or `error_message` of
            `None` keeps the value of an earlier attempt.

    Raises:
        RunNotFound: If no run has this id.
        StaleAttempt: If the run has a newer attempt.
        IllegalTransition: If the final status does not follow the present one.
        ValueError: If `attempt` is `None` and the reason is not `killed`.
    """
    if attempt is None and stop_reason is not StopReason.KILLED:
        raise ValueError(f"{stop_reason} needs the attempt that ends")
    to = stop_reason.final_status
    if final.get("result") is None:
        final.pop("result", None)
    if final.get("error_message") is None:
        final.pop("error_message", None)
    seconds = func.round(func.extract("epoch", time_literal(now) - RunRow.started_at))
    row = await write(
        session,
        run_id,
        can_become(to),
        *([] if attempt is None else [RunRow.attempt == attempt]),
        now=now,
        **changed_columns(final),
        status=to,
        stop_reason=stop_reason,
        waiting_on=None,
        queue_reason=None,
        retry_at=None,
        completed_at=now,
        duration_seconds=case(
            (RunRow.started_at.is_not(None), cast(func.greatest(seconds, 0), Integer))
        ),
    )
    if row is None:
        await raise_refused(session, run_id, attempt, to)
    run = to_run(row)
    measuring.note_ended(session, run)
    return run


async def requeue(
    session: AsyncSession,
    run_id: str,
    *,
    attempt: int,
    now: datetime,
    retry_at: datetime | None = None,
    waiting_on: WaitingOn | None = None,
) -> Run:
    """Set a running run back to `pending` with the next attempt.

    From then on writes of the previous attempt are refused.

    Args:
        session: An open session.
        run_id: The run.
        attempt: The attempt that ends.
        now: The present time.
        retry_at: When the next attempt may be admitted; `None` is at once.  With a time the run
            must not have a kill request: what a person ends does not begin again.
        waiting_on: What it waits for until then.

    Raises:
        RunNotFound: If no run has this id.
        StaleAttempt: If the run already has a newer attempt.
        IllegalTransition: If it is not running, or a kill was requested of one with `retry_at`.
    """
    row = await write(
        session,
        run_id,
        can_become(RunStatus.PENDING),
        RunRow.attempt == attempt,
        *([] if retry_at is None else [RunRow.kill_requested_at.is_(None)]),
        now=now,
        status=RunStatus.PENDING,
        attempt=RunRow.attempt + 1,
        worker_id=None,
        job_id=None,
        waiting_on=waiting_on,
        retry_at=retry_at,
    )
    if row is None:
        await raise_refused(session, run_id, attempt, RunStatus.PENDING)
    return to_run(row)


async def change(
    session: AsyncSession,
    run_id: str,
    *,
    now: datetime,
    attempt: int | None = None,
    **changes: Unpack[RunChanges],
) -> Run:
    """Change fields of a run that are not its status.

    Args:
        session: An open session.
        run_id: The run.
        now: The present time.
        attempt: The attempt of the writing worker, which must be the present one and running;
            `None` if the writer is not a worker.
        changes: The new values.

    Raises:
        RunNotFound: If no run has this id.
        StaleAttempt: If `attempt` is given and is not the running one.
        TypeError: If a field cannot be changed with this function.
    """
    fence = []
    if attempt is not None:
        fence = [RunRow.attempt == attempt, RunRow.status == RunStatus.RUNNING]
    row = await write(session, run_id, *fence, now=now, **changed_columns(changes))
    if row is None:
        await raise_refused(session, run_id, attempt, None)
    run = to_run(row)
    measuring.note_changed(session, run)
    return run


async def settle_work(
    session: AsyncSession, run_id: str, *, now: datetime, **changes: Unpack[RunChanges]
) -> Run | None:
    """Write what became of the work of an ended run, once.

    Returns:
        The changed run; `None` if its work is not pending (any more).
    """
    columns = changed_columns(changes) | {"work_due_at": None}
    row = await write(session, run_id, RunRow.work_due_at.is_not(None), now=now, **columns)
    return None if row is None else to_run(row)


async def claim_work(
    session: AsyncSession, run_id: str, *, due_at: datetime, until: datetime, now: datetime
) -> bool:
    """Take over the keeping of an ended run's work; only one worker succeeds.

    Args:
        session: An open session.
        run_id: The run.
        due_at: The run's `work_due_at`, as the caller has read it.
        until: The new one.
        now: The present time.
    """
    row = await write(
        session,
        run_id,
        RunRow.work_due_at == time_literal(due_at),
        now=now,
        work_due_at=until,
    )
    return row is not None


async def request_kill(session: AsyncSession, run_id: str, *, now: datetime) -> Run:
    """Record a request to kill a run; the time of an earlier request stays.

    The row is locked until the transaction ends, so the run cannot begin or end meanwhile.

    Raises:
        RunNotFound: If no run has this id.
        IllegalTransition: If it has ended.
    """
    row = await write(
        session,
        run_id,
        RunRow.status.in_(sorted(LIVE_STATUSES)),
        now=now,
        kill_requested_at=func.coalesce(RunRow.kill_requested_at, time_literal(now)),
    )
    if row is None:
        await raise_refused(session, run_id, None, RunStatus.KILLED)
    return to_run(row)


async def merge_metadata(
    session: AsyncSession, run_id: str, patch: Mapping[str, Any], *, now: datetime
) -> Run:
    """Set keys of a run's metadata; other keys stay.

    Raises:
        RunNotFound: If no run has this id.
    """
    return await change(session, run_id, now=now, metadata=patch)
