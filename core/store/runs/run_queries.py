"""Queries of runs: by id, session, thread, person, status or filter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import AttemptRecord
from core.domain.runs.errors import AmbiguousRun, RunIdTooShort, RunNotFound
from core.domain.runs.request import RunFilter
from core.domain.runs.run import LIVE_STATUSES, RUN_ID_PREFIX, Run, RunStatus
from core.domain.runs.snapshot import SessionTotal
from core.domain.sessions.ledger import LedgerSum
from core.store import ledger
from core.store.runs.columns import to_run
from core.store.tables.attempts import AttemptRow
from core.store.tables.runs import RunRow

# How many matching runs the error for an ambiguous prefix lists.
_MAX_LISTED_MATCHES = 6


async def get_for_update(session: AsyncSession, run_id: str) -> Run:
    """Return a run and lock its row until the transaction ends.

    Raises:
        RunNotFound: If no run has this id.
    """
    row = await session.scalar(
        select(RunRow)
        .where(RunRow.run_id == run_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise RunNotFound(run_id)
    return to_run(row)


async def get(session: AsyncSession, run_id: str) -> Run:
    """Return the run with this id.

    Raises:
        RunNotFound: If there is none.
    """
    row = await session.scalar(select(RunRow).where(RunRow.run_id == run_id))
    if row is None:
        raise RunNotFound(run_id)
    return to_run(row)


async def get_by_uuid(session: AsyncSession, uuid: UUID) -> Run:
    """Return the run whose row has this id.

    Raises:
        RunNotFound: If there is none.
    """
    row = await session.scalar(select(RunRow).where(RunRow.id == uuid))
    if row is None:
        raise RunNotFound(str(uuid))
    return to_run(row)


async def resolve(session: AsyncSession, text: str, *, min_digits: int = 1) -> Run:
    """Find a run by its id or a unique prefix of it, with or without `run_`.

    Raises:
        RunNotFound: If no id begins with the text.
        RunIdTooShort: If it has fewer than `min_digits` digits after `run_`.
        AmbiguousRun: If several ids begin with the text and none equals it.
    """
    prefix = text.strip().lower()
    if not prefix.isprintable() or not prefix.removeprefix(RUN_ID_PREFIX):
        raise RunNotFound(text)
    if not prefix.startswith(RUN_ID_PREFIX):
        prefix = RUN_ID_PREFIX + prefix
    if len(prefix) < len(RUN_ID_PREFIX) + min_digits:
        raise RunIdTooShort(text)
    found = await _list(
        session,
        select(RunRow)
        .where(RunRow.run_id.startswith(prefix, autoescape=True))
        .order_by(RunRow.run_id)
        .limit(_MAX_LISTED_MATCHES),
    )
    if not found:
        raise RunNotFound(text)
    # An exact match is the shortest id with the prefix, so it comes first.
    if len(found) > 1 and found[0].run_id != prefix:
        raise AmbiguousRun(text, tuple(run.run_id for run in found))
    return found[0]


async def begins_with(session: AsyncSession, text: str) -> bool:
    """Whether the id of any run begins with a text, with or without `run_`."""
    try:
        await resolve(session, text)
    except RunNotFound:
        return False
    except AmbiguousRun:
        return True
    return True


async def find_by_request(session: AsyncSession, request_key: str) -> Run | None:
    """Return the run that a request has started, if it has."""
    row = await session.scalar(select(RunRow).where(RunRow.request_key == request_key))
    return None if row is None else to_run(row)


async def by_run_ids(session: AsyncSession, run_ids: Sequence[str]) -> dict[str, Run]:
    """Return the runs with these ids, by id; unknown ids are missing."""
    rows = await session.scalars(select(RunRow).where(RunRow.run_id.in_(run_ids)))
    return {row.run_id: to_run(row) for row in rows}


async def by_uuids(session: AsyncSession, uuids: Collection[UUID]) -> list[Run]:
    """The runs with these row ids, oldest first."""
    if not uuids:
        return []
    return await _list(
        session,
        select(RunRow).where(RunRow.id.in_(list(uuids))).order_by(RunRow.created_at, RunRow.id),
    )


async def ids_of(session: AsyncSession, uuids: Collection[UUID]) -> dict[UUID, str]:
    """The ids that people use of the runs whose rows have these ids; missing ones are left out."""
    if not uuids:
        return {}
    rows = await session.execute(select(RunRow.id, RunRow.run_id).where(RunRow.id.in_(list(uuids))))
    return {row.id: row.run_id for row in rows}


async def recent(
    session: AsyncSession, run_filter: RunFilter, *, user_id: UUID | None, limit: int = 20
) -> list[Run]:
    """List the newest matching runs, newest first.

    `user_id` is the person to whom the filter's `mine` refers; `None` matches runs without an
    owner.
    """
    query = select(RunRow).where(*_matching(run_filter, user_id))
    return await _list(session, query.order_by(RunRow.created_at.desc(), RunRow.id).limit(limit))


async def oldest_live(
    session: AsyncSession,
    run_filter: RunFilter,
    *,
    user_id: UUID | None,
    include_stopping: bool,
    limit: int,
) -> tuple[list[Run], int]:
    """Return the oldest matching live runs, at most `limit`, and the number of all matches.

    Runs with a kill request are left out unless `include_stopping` is set.
    """
    query = select(RunRow, func.count().over()).where(
        *_matching(replace(run_filter, live=True), user_id)
    )
    if not include_stopping:
        query = query.where(RunRow.kill_requested_at.is_(None))
    rows = (await session.execute(query.order_by(RunRow.created_at, RunRow.id).limit(limit))).all()
    return [to_run(row) for row, _ in rows], rows[0][1] if rows else 0


async def count_live(
    session: AsyncSession, run_filter: RunFilter, *, user_id: UUID | None
) -> tuple[int, int]:
    """Count the matching live runs, and those of them with a kill request."""
    row = (
        await session.execute(
            select(
                func.count(),
                func.count().filter(RunRow.kill_requested_at.is_not(None)),
            ).where(*_matching(replace(run_filter, live=True), user_id))
        )
    ).one()
    return row[0], row[1]


async def live_of_session(session: AsyncSession, session_id: UUID) -> Run | None:
    """Return the session's live run, if there is one; there is at most one."""
    row = await session.scalar(
        select(RunRow).where(
            RunRow.session_id == session_id, RunRow.status.in_(sorted(LIVE_STATUSES))
        )
    )
    return None if row is None else to_run(row)


async def legs_of_session(session: AsyncSession, session_id: UUID) -> list[Run]:
    """List the session's runs, oldest first."""
    return await _legs(session, select(RunRow).where(RunRow.session_id == session_id))


async def of_thread(session: AsyncSession, thread_key: str) -> list[Run]:
    """List the runs of a Slack thread, oldest first."""
    return await _legs(session, select(RunRow).where(RunRow.thread_key == thread_key))


async def totals_of_sessions(
    session: AsyncSession, session_ids: Collection[UUID]
) -> dict[UUID, SessionTotal]:
    """All legs of each session added up, with what their agent processes cost."""
    rows = await session.execute(
        select(
            RunRow.session_id,
            func.count().label("legs"),
            func.coalesce(func.sum(RunRow.turns), 0).label("turns"),
        )
        .where(RunRow.session_id.in_(list(session_ids)))
        .group_by(RunRow.session_id)
    )
    spent = await ledger.sums_of_sessions(session, session_ids)
    return {
        row.session_id: SessionTotal(
            legs=row.legs, turns=row.turns, spent=spent.get(row.session_id, LedgerSum())
        )
        for row in rows
    }


async def running(session: AsyncSession) -> list[Run]:
    """List every running run, oldest first."""
    return await _list(
        session,
        select(RunRow)
        .where(RunRow.status == RunStatus.RUNNING)
        .order_by(RunRow.started_at, RunRow.id),
    )


async def stalled(session: AsyncSession, *, before: datetime) -> list[tuple[Run, AttemptRecord]]:
    """List running runs whose present attempt had its last heartbeat before `before`."""
    rows = await session.execute(
        select(RunRow, AttemptRow)
        .join(
            AttemptRow,
            and_(AttemptRow.run_id == RunRow.id, AttemptRow.attempt == RunRow.attempt),
        )
        .where(RunRow.status == RunStatus.RUNNING, AttemptRow.heartbeat_at < before)
        .order_by(AttemptRow.heartbeat_at)
    )
    return [(to_run(run), attempt.to_attempt()) for run, attempt in rows]


def _matching(run_filter: RunFilter, user_id: UUID | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if run_filter.mine:
        # No index serves `IS NOT DISTINCT FROM`.
        conditions.append(
            RunRow.user_id.is_(None) if user_id is None else RunRow.user_id == user_id
        )
    if run_filter.live:
        conditions.append(RunRow.status.in_(sorted(LIVE_STATUSES)))
    if run_filter.failed:
        conditions.append(RunRow.status == RunStatus.FAILED)
    if run_filter.workflow is not None:
        conditions.append(RunRow.workflow_name == run_filter.workflow)
    return conditions


async def _legs(session: AsyncSession, query: Select[RunRow]) -> list[Run]:
    # Of runs created at the same moment, the session's first one, without a parent, comes first.
    has_parent = RunRow.parent_run_id.is_not(None)
    return await _list(session, query.order_by(RunRow.created_at, has_parent, RunRow.id))


async def _list(session: AsyncSession, query: Select[RunRow]) -> list[Run]:
    rows: Sequence[RunRow] = (await session.scalars(query)).all()
    return [to_run(row) for row in rows]


async def with_pending_work(session: AsyncSession) -> list[Run]:
    """Ended runs whose work is still being kept, the one that is due first first."""
    rows = await session.scalars(
        select(RunRow).where(RunRow.work_due_at.is_not(None)).order_by(RunRow.work_due_at)
    )
    return [to_run(row) for row in rows]


async def versions(session: AsyncSession, run_ids: Collection[str]) -> dict[str, int]:
    """The present version of each of these runs, by `run_id`."""
    rows = await session.execute(
        select(RunRow.run_id, RunRow.version).where(RunRow.run_id.in_(sorted(run_ids)))
    )
    return {row.run_id: row.version for row in rows}
