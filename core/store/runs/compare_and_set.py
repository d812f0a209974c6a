"""Conditional writes of a run, and the errors for writes whose conditions do not hold.

Each write sets `version` above all versions of runs in the same thread.  A thread is completely
drawn when its card's version is at least the highest version of its runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.runs.errors import IllegalTransition, StaleAttempt
from core.domain.runs.run import RunStatus, sources_of
from core.store.runs.run_queries import get
from core.store.tables.runs import RunRow
from core.store.tables.types import AwareDateTime

# Built once: an alias takes 3 ms to build, and a run is written once a second.
_sibling = aliased(RunRow)
_thread_version = select(func.max(_sibling.version)).where(_sibling.thread_key == RunRow.thread_key)
# With the row's own version too: after a wait for another writer Postgres reads the row again, but
# does not repeat the subquery.
NEXT_VERSION = func.greatest(RunRow.version, _thread_version.scalar_subquery()) + 1


async def bump_version(session: AsyncSession, run: UUID, *, now: datetime) -> None:
    """Raise the version of a run, because something that is shown with it has changed."""
    await _update(session, RunRow.id == run, now=now)


def can_become(to: RunStatus) -> ColumnElement[bool]:
    """SQL: the status `to` may follow the present one."""
    return RunRow.status.in_(sorted(sources_of(to)))


def time_literal(now: datetime) -> ColumnElement[datetime]:
    """SQL: the time as a literal."""
    return literal(now, AwareDateTime())


async def write(
    session: AsyncSession,
    run_id: str,
    *conditions: ColumnElement[bool],
    now: datetime,
    **columns: Any,
) -> RunRow | None:
    """Write columns if the conditions hold, in one statement; `None` if they do not hold."""
    return await _update(session, RunRow.run_id == run_id, *conditions, now=now, **columns)


async def _update(
    session: AsyncSession, *conditions: ColumnElement[bool], now: datetime, **columns: Any
) -> RunRow | None:
    row: RunRow | None = await session.scalar(
        update(RunRow)
        .where(*conditions)
        .values(**columns, version=NEXT_VERSION, updated_at=now)
        .returning(RunRow)
        .execution_options(synchronize_session=False)
    )
    return row


async def raise_refused(
    session: AsyncSession, run_id: str, attempt: int | None, wanted: RunStatus | None
) -> NoReturn:
    """Raise the reason why a write did not happen.

    Raises:
        RunNotFound: If no run has this id.
        StaleAttempt: If the attempt is not the present one, or not running.
        IllegalTransition: If the wanted status does not follow the present one.
    """
    current = await get(session, run_id)
    if attempt is not None and (wanted is None or current.attempt != attempt):
        raise StaleAttempt(run_id, attempt)
    raise IllegalTransition(run_id, current.status, wanted or current.status)
