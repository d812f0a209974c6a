"""The events of runs, which are never changed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.runs.event import EventKind, EventRecord
from core.store.tables.events import EventRow
from core.store.tables.runs import RunRow
from core.store.tables.types import to_json


async def append(
    session: AsyncSession, run: UUID, attempt: int, records: Sequence[EventRecord]
) -> None:
    """Add events in this order.

    They belong in the transaction of a fenced write to the run (one that names the attempt): if
    that write is refused because the worker has lost the run, its events are not stored either.

    The row of the run stays locked until the transaction ends.  So the events of a run are
    committed in the order of their ids, and a reader that goes on after the highest id that it
    has seen misses none.

    Events that may be stored already (`EventRecord.may_be_stored`) are added only if they are not.
    """
    if not records:
        return
    await session.execute(select(RunRow.id).where(RunRow.id == run).with_for_update(key_share=True))
    missing = await _without_stored(session, run, attempt, records)
    if not missing:
        return
    await session.execute(
        insert(EventRow),
        [
            {
                "run_id": run,
                "attempt": attempt,
                "kind": record.kind,
                "at": record.at,
                "data": dict(record.data),
            }
            for record in missing
        ],
    )


async def _without_stored(
    session: AsyncSession, run: UUID, attempt: int, records: Sequence[EventRecord]
) -> list[EventRecord]:
    """Leave out the events that an earlier write has stored, of those for which that is open.

    That write has held the lock on the run's row, so it has ended.
    """
    unsure = [record.at for record in records if record.may_be_stored]
    if not unsure:
        return list(records)
    rows = await session.execute(
        select(EventRow.kind, EventRow.at, EventRow.data).where(
            EventRow.run_id == run, EventRow.attempt == attempt, EventRow.at >= min(unsure)
        )
    )
    stored = [(row.kind, row.at, row.data) for row in rows]
    missing = []
    for record in records:
        key = (record.kind, record.at, json.loads(to_json(dict(record.data))))
        if record.may_be_stored and key in stored:
            stored.remove(key)
        else:
            missing.append(record)
    return missing


async def of_run(
    session: AsyncSession,
    run: UUID,
    *,
    after_id: int = 0,
    kinds: Collection[EventKind] | None = None,
    limit: int = 1000,
) -> list[EventRecord]:
    """List a run's events with an id above `after_id`, oldest first, at most `limit`."""
    query = select(EventRow).where(EventRow.run_id == run, EventRow.id > after_id)
    if kinds is not None:
        query = query.where(EventRow.kind.in_(sorted(kinds)))
    rows = await session.scalars(query.order_by(EventRow.id).limit(limit))
    return [row.to_record() for row in rows]


async def newest_id(session: AsyncSession, run: UUID) -> int:
    """The id of a run's newest event; 0 if it has none."""
    found = await session.scalar(select(func.max(EventRow.id)).where(EventRow.run_id == run))
    return int(found or 0)


async def newest(
    session: AsyncSession,
    run: UUID,
    *,
    kinds: Collection[EventKind],
    limit: int,
    within: int,
) -> list[EventRecord]:
    """List the last events of these kinds of a run, oldest first.

    At most `limit`, among the last `within` events of any kind: a run may have very many.
    """
    last = (
        select(EventRow)
        .where(EventRow.run_id == run)
        .order_by(EventRow.id.desc())
        .limit(within)
        .subquery()
    )
    row = aliased(EventRow, last)
    rows = await session.scalars(
        select(row).where(row.kind.in_(sorted(kinds))).order_by(row.id.desc()).limit(limit)
    )
    return [row.to_record() for row in reversed(rows.all())]


async def newest_of_run(session: AsyncSession, run: UUID, *, limit: int) -> list[EventRecord]:
    """List a run's newest events, at most `limit`, oldest first."""
    rows = await session.scalars(
        select(EventRow).where(EventRow.run_id == run).order_by(EventRow.id.desc()).limit(limit)
    )
    return [row.to_record() for row in reversed(rows.all())]


async def of_runs(
    session: AsyncSession, runs: Collection[UUID], *, kinds: Collection[EventKind], limit: int
) -> dict[UUID, list[EventRecord]]:
    """The first events of these kinds of each run that has any, oldest first.

    Args:
        session: Of the caller.
        runs: Row ids.
        kinds: Of the events.
        limit: Of each run.
    """
    rank = func.row_number().over(partition_by=EventRow.run_id, order_by=EventRow.id)
    ranked = (
        select(EventRow.id, rank.label("rank"))
        .where(EventRow.run_id.in_(list(runs)), EventRow.kind.in_(sorted(kinds)))
        .subquery()
    )
    rows = await session.scalars(
        select(EventRow)
        .join(ranked, ranked.c.id == EventRow.id)
        .where(ranked.c.rank <= limit)
        .order_by(EventRow.id)
    )
    found: defaultdict[UUID, list[EventRecord]] = defaultdict(list)
    for row in rows:
        found[row.run_id].append(row.to_record())
    return dict(found)
