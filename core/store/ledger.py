"""The ledger: what each agent process used, and sums over runs, sessions and lineages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from core.domain.runs.run import Usage
from core.domain.sessions.ledger import EntrySource, LedgerEntry, LedgerSum
from core.store.tables.attempts import LedgerRow
from core.store.tables.runs import RunRow

# A lineage is a tree that people make by hand, leg by leg.
_MAX_LINEAGE = 10_000


async def put(session: AsyncSession, entry: LedgerEntry) -> None:
    """Write the entry of an agent process, over an earlier one of the same process."""
    usage = entry.usage
    values = {
        "session_id": entry.session_id,
        "source": entry.source.value,
        "cost_usd": entry.cost_usd,
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "cache_read_tokens": None if usage is None else usage.cache_read_tokens,
        "cache_creation_tokens": None if usage is None else usage.cache_creation_tokens,
        "turns": entry.turns,
        "recorded_at": entry.recorded_at,
    }
    await session.execute(
        insert(LedgerRow)
        .values(run_id=entry.run_id, attempt=entry.attempt, **values)
        .on_conflict_do_update(index_elements=[LedgerRow.run_id, LedgerRow.attempt], set_=values)
    )


async def get(session: AsyncSession, run: UUID, attempt: int) -> LedgerEntry | None:
    """The entry of an attempt's agent process, if it has one."""
    row = await session.scalar(
        select(LedgerRow)
        .where(LedgerRow.run_id == run, LedgerRow.attempt == attempt)
        .execution_options(populate_existing=True)
    )
    return None if row is None else row.to_entry()


async def of_runs(session: AsyncSession, runs: Collection[UUID]) -> dict[UUID, list[LedgerEntry]]:
    """The entries of each of these runs, in the order of the attempts."""
    rows = await session.scalars(
        select(LedgerRow)
        .where(LedgerRow.run_id.in_(list(runs)))
        .order_by(LedgerRow.run_id, LedgerRow.attempt)
        .execution_options(populate_existing=True)
    )
    found: defaultdict[UUID, list[LedgerEntry]] = defaultdict(list)
    for row in rows:
        found[row.run_id].append(row.to_entry())
    return dict(found)


async def sums_of_sessions(
    session: AsyncSession, session_ids: Collection[UUID]
) -> dict[UUID, LedgerSum]:
    """What each of these sessions cost; those without an agent process are missing."""
    rows = await session.execute(
        select(LedgerRow.session_id, *_SUMS)
        .where(LedgerRow.session_id.in_(list(session_ids)))
        .group_by(LedgerRow.session_id)
    )
    return {row["session_id"]: _sum_of(row) for row in rows.mappings()}


async def sum_of_lineage(session: AsyncSession, run: UUID) -> LedgerSum:
    """What a run cost, with all runs from which it goes on and all that go on from those.

    That is its session, the sessions from which that was forked, and all forks of them.
    """
    up = (
        select(RunRow.id, RunRow.parent_run_id, literal(1).label("depth"))
        .where(RunRow.id == run)
        .cte("up", recursive=True)
    )
    up = up.union_all(
        select(RunRow.id, RunRow.parent_run_id, up.c.depth + 1).where(
            RunRow.id == up.c.parent_run_id, up.c.depth < _MAX_LINEAGE
        )
    )
    origin = select(up.c.id).order_by(up.c.depth.desc()).limit(1).scalar_subquery()
    down = select(RunRow.id).where(RunRow.id == origin).cte("down", recursive=True)
    # `UNION` ends also where rows should name each other as parents.
    down = down.union(select(RunRow.id).where(RunRow.parent_run_id == down.c.id))
    rows = await session.execute(select(*_SUMS).where(LedgerRow.run_id.in_(select(down.c.id))))
    return _sum_of(rows.mappings().one())


def _total(
    value: InstrumentedAttribute[Any], *conditions: ColumnElement[bool]
) -> ColumnElement[Any]:
    total = func.sum(value)
    return func.coalesce(total.filter(*conditions) if conditions else total, 0)


def _has(source: EntrySource) -> ColumnElement[bool]:
    return LedgerRow.source == source.value


_SUMS = (
    _total(LedgerRow.turns).label("turns"),
    _total(LedgerRow.cost_usd, _has(EntrySource.REPORTED)).label("reported_usd"),
    func.count().filter(_has(EntrySource.REPORTED)).label("reported"),
    _total(LedgerRow.cost_usd, _has(EntrySource.ESTIMATED)).label("estimated_usd"),
    func.count().filter(_has(EntrySource.ESTIMATED)).label("estimated"),
    func.count().filter(_has(EntrySource.UNKNOWN)).label("unknown"),
    _total(LedgerRow.input_tokens).label("input_tokens"),
    _total(LedgerRow.output_tokens).label("output_tokens"),
    _total(LedgerRow.cache_read_tokens).label("cache_read_tokens"),
    _total(LedgerRow.cache_creation_tokens).label("cache_creation_tokens"),
    func.count().filter(LedgerRow.input_tokens.is_(None)).label("unknown_usage"),
)


def _sum_of(row: Any) -> LedgerSum:
    return LedgerSum(
        turns=int(row["turns"]),
        reported_usd=row["reported_usd"],
        reported=row["reported"],
        estimated_usd=row["estimated_usd"],
        estimated=row["estimated"],
        unknown=row["unknown"],
        usage=Usage(
            input_tokens=int(row["input_tokens"]),
            output_tokens=int(row["output_tokens"]),
            cache_read_tokens=int(row["cache_read_tokens"]),
            cache_creation_tokens=int(row["cache_creation_tokens"]),
        ),
        unknown_usage=row["unknown_usage"],
    )


# SQL: what the session of a run in a table `r` cost, as JSON.  Amounts are texts: numbers of JSON
# would lose digits in Python.
SPENT_IN_SESSION = """(
    SELECT json_build_object(
        'turns', coalesce(sum(l.turns), 0),
        'reported_usd', coalesce(sum(l.cost_usd) FILTER (WHERE l.source = 'reported'), 0)::text,
        'reported', count(*) FILTER (WHERE l.source = 'reported'),
        'estimated_usd', coalesce(sum(l.cost_usd) FILTER (WHERE l.source = 'estimated'), 0)::text,
        'estimated', count(*) FILTER (WHERE l.source = 'estimated'),
        'unknown', count(*) FILTER (WHERE l.source = 'unknown'),
        'input_tokens', coalesce(sum(l.input_tokens), 0),
        'output_tokens', coalesce(sum(l.output_tokens), 0),
        'cache_read_tokens', coalesce(sum(l.cache_read_tokens), 0),
        'cache_creation_tokens', coalesce(sum(l.cache_creation_tokens), 0),
        'unknown_usage', count(*) FILTER (WHERE l.input_tokens IS NULL)
    ) FROM ledger_entries l WHERE l.session_id = r.session_id
)"""


def spent_of(stored: Mapping[str, Any]) -> LedgerSum:
    """The sum that `SPENT_IN_SESSION` has read."""
    amounts = {name: Decimal(stored[name]) for name in ("reported_usd", "estimated_usd")}
    return _sum_of({**stored, **amounts})
