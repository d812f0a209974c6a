"""Events of runs that ended before a time.

A month is dropped when all runs that have events in it ended before that time.  If others have a
few events in it, it is rewritten with only these.  Within later months the events of such runs are
deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from core.store.database.direct import DirectReads
from core.store.partitions import partitions
from core.store.partitions.partitions import allow_deleting
from core.store.partitions.tables import Partition
from core.store.tables.events import EventRow
from core.store.tables.runs import RunRow

# A worker's clock may be so much behind that of the bot that made the run.
_SKEW = timedelta(days=1)
# With more than that to keep, a partition is not rewritten: it would take too long.
MOST_COPIED = 20_000
_RUNS = bindparam("runs", type_=ARRAY(Uuid))
_DELETE = text(
    """
    WITH old AS (
        SELECT id, at FROM run_events WHERE run_id = ANY(:runs) LIMIT :limit
    )
    DELETE FROM run_events e USING old WHERE e.id = old.id AND e.at = old.at
    """
).bindparams(_RUNS)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a partition has.

    Attributes:
        runs: The runs that stay, whether they have events in it or not.
        kept: The number of their events, at most one more than `MOST_COPIED`.
        has_expired: Whether there are others.
    """

    runs: Sequence[UUID]
    kept: int
    has_expired: bool


@dataclass(frozen=True, kw_only=True)
class EndedRuns:
    """Runs that have ended, by the time of their end.

    Attributes:
        last: End and id of the last one, after which the next ones follow; `None` if there are
            none.
    """

    ids: Sequence[UUID]
    last: tuple[datetime, UUID] | None


async def ended(
    session: AsyncSession,
    *,
    before: datetime,
    since: datetime | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> EndedRuns:
    """The runs that ended before a time, the first ones first, after some run."""
    query = select(RunRow.id, RunRow.completed_at).where(RunRow.completed_at < before)
    if since is not None:
        query = query.where(RunRow.completed_at >= since)
    if after is not None:
        query = query.where(tuple_(RunRow.completed_at, RunRow.id) > after)
    rows = (
        await session.execute(query.order_by(RunRow.completed_at, RunRow.id).limit(limit))
    ).all()
    return EndedRuns(
        ids=[row.id for row in rows],
        last=(rows[-1].completed_at, rows[-1].id) if rows else None,
    )


async def delete_of_runs(session: AsyncSession, runs: Sequence[UUID], *, limit: int) -> int:
    """Delete events of these runs, at most so many; return how many."""
    await allow_deleting(session)
    deleted = await session.execute(_DELETE, {"runs": list(runs), "limit": limit})
    return int(getattr(deleted, "rowcount", 0))


async def contents(
    session: AsyncSession, partition: Partition, *, ended_before: datetime
) -> Contents:
    """What a partition of past months has of runs that stay, and of those that have expired."""
    if partition.until is None:
        raise ValueError("the default partition has no end")
    staying = list(
        await session.scalars(
            select(RunRow.id).where(
                RunRow.created_at < partition.until + _SKEW,
                or_(RunRow.completed_at.is_(None), RunRow.completed_at >= ended_before),
            )
        )
    )
    row = (
        await session.execute(
            text(
                f"""
                SELECT (
                    SELECT count(*) FROM (
                        SELECT FROM {partition.name} WHERE run_id = ANY(:runs) LIMIT :limit
                    ) kept
                ) AS kept,
                EXISTS (SELECT FROM {partition.name} WHERE run_id <> ALL(:runs)) AS has_expired
                """  # noqa: S608 - a name of this package
            ).bindparams(_RUNS),
            {"runs": staying, "limit": MOST_COPIED + 1},
        )
    ).one()
    return Contents(runs=staying, kept=row.kept, has_expired=row.has_expired)


async def keep_only(reads: DirectReads, partition: Partition, runs: Sequence[UUID]) -> None:
    """Rewrite a partition with the events of these runs.

    Raises:
        LockBusy: If a lock could not be had in time.
    """
    listed = ",".join(str(run) for run in runs)
    await partitions.rewrite(reads, partition, keep=f"run_id = ANY('{{{listed}}}'::uuid[])")


async def oldest(session: AsyncSession) -> datetime | None:
    """The time of the first event that there is."""
    found: datetime | None = await session.scalar(
        select(EventRow.at).order_by(EventRow.id).limit(1)
    )
    return found
