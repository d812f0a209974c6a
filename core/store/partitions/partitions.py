"""Partitions: which there are, and short transactions that add, drop and rewrite one.

Each of these transactions waits for a lock for at most `LOCK_WAIT`, so that nobody waits longer
behind it; when it was in vain, `LockBusy` says so, and the caller tries again later.  It is sent
as a whole, so that no lock is held while this process does something else.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.month import Month
from core.store.database.direct import DirectReads
from core.store.partitions.tables import Partition, PartitionedTable

LOCK_WAIT = timedelta(milliseconds=40)
# More than that are left where they are: moving them would lock them for too long.
MOST_MOVED = 2_000
_BOUND = re.compile(r"'(\d{4}-\d{2}-\d{2}) 00:00:00\+00'")
_LIST = text(
    """
    SELECT child.relname::text AS name, pg_get_expr(child.relpartbound, child.oid) AS bounds
    FROM pg_inherits
    JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = CAST(CAST(:table AS text) AS regclass)
    """
)
# As `SET LOCAL`, which takes no parameters.
_ALLOW_DELETING = text("SELECT set_config('signalbox.retention', 'on', true)")


class LockBusy(Exception):
    """No error: a lock could not be had in time."""


async def _run(reads: DirectReads, *statements: str) -> None:
    """Run statements as one transaction that waits for locks only shortly.

    Raises:
        LockBusy: If one could not be had.
    """
    milliseconds = round(LOCK_WAIT.total_seconds() * 1000)
    try:
        await reads.write_script(
            ";\n".join((f"SET LOCAL lock_timeout = {milliseconds}", *statements))
        )
    except asyncpg.LockNotAvailableError as error:
        raise LockBusy from error


async def allow_deleting(session: AsyncSession) -> None:
    """Let this transaction delete rows of append-only tables."""
    await session.execute(_ALLOW_DELETING)


async def list_partitions(session: AsyncSession, table: PartitionedTable) -> list[Partition]:
    """All partitions of a table, the oldest first and the default one last."""
    rows = await session.execute(_LIST, {"table": table.name})
    found = [_partition(table, row.name, row.bounds) for row in rows]
    latest = datetime.max.replace(tzinfo=UTC)
    return sorted(found, key=lambda one: one.until or latest)


def _partition(table: PartitionedTable, name: str, bounds: str) -> Partition:
    if bounds == "DEFAULT":
        return Partition(table=table, name=name, first=None, until=None)
    times = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in _BOUND.findall(bounds)]
    if "MINVALUE" in bounds:
        return Partition(table=table, name=name, first=None, until=times[0])
    return Partition(table=table, name=name, first=times[0], until=times[1])


async def months_in_default(session: AsyncSession, table: PartitionedTable) -> dict[Month, int]:
    """How many rows of which months have no partition of their own."""
    rows = await session.execute(
        text(
            f"""
            SELECT date_trunc('month', {table.column} AT TIME ZONE 'UTC') AS month,
                count(*) AS rows
            FROM {table.default} GROUP BY 1 ORDER BY 1
            """  # noqa: S608 - names of this package
        )
    )
    return {Month(row.month.year, row.month.month): row.rows for row in rows}


async def add_month(reads: DirectReads, table: PartitionedTable, month: Month) -> None:
    """Add the partition of a month, with the rows of the month that were without one.

    Those are locked meanwhile, and so is the default partition; the table goes on being read and
    written.  There must not be more than `MOST_MOVED` of them.  Nothing happens if somebody else
    has just added the month.

    Raises:
        LockBusy: If a lock could not be had in time.
    """
    name, start, end = table.partition(month), month.start, month.following.start
    try:
        await _run(
            reads,
            "SET LOCAL signalbox.retention = 'on'",
            *_like(table, name),
            f"LOCK TABLE {table.default} IN ACCESS EXCLUSIVE MODE",
            f"WITH moved AS (DELETE FROM {table.default} WHERE {table.column} >= '{start}'"  # noqa: S608
            f" AND {table.column} < '{end}' RETURNING *) INSERT INTO {name} SELECT * FROM moved",
            _attach(table, name, f"FROM ('{start}') TO ('{end}')"),
        )
    except (asyncpg.DuplicateTableError, asyncpg.UniqueViolationError):
        # Made and attached in one transaction, so it is a partition already.  The second error is
        # that of two who make it at the same moment.
        return


async def drop(reads: DirectReads, partition: Partition) -> None:
    """Drop a partition with its rows.

    Raises:
        LockBusy: If a lock could not be had in time.
    """
    await _run(reads, f"DROP TABLE IF EXISTS {partition.name}")


async def rewrite(reads: DirectReads, partition: Partition, *, keep: str) -> None:
    """Put a small copy with the rows that stay in the place of a partition.

    The rows must never be changed: what changed during the copying would be lost.  Rows that are
    added meanwhile are noticed.  The table is locked for some milliseconds, after the copying.

    Args:
        reads: Of the database.
        partition: Not the default one.
        keep: SQL, the condition of the rows that stay.

    Raises:
        LockBusy: If a lock could not be had in time, or a row was added.
    """
    table, name = partition.table, partition.name
    copy = f"{name}_copy"
    first = "MINVALUE" if partition.first is None else f"'{partition.first}'"
    await _run(
        reads,
        *_like(table, copy, "INCLUDING INDEXES"),
        f"""
        DO $$
        DECLARE newest bigint;
        BEGIN
            SELECT max(id) INTO newest FROM {name};
            INSERT INTO {copy} SELECT * FROM {name} WHERE {keep};
            LOCK TABLE {table.name} IN ACCESS EXCLUSIVE MODE;
            IF (SELECT max(id) FROM {name}) IS DISTINCT FROM newest THEN
                RAISE EXCEPTION 'rows were added' USING ERRCODE = 'lock_not_available';
            END IF;
        END
        $$
        """,  # noqa: S608 - names of this package
        f"DROP TABLE {name}",
        f"ALTER TABLE {copy} RENAME TO {name}",
        _attach(table, name, f"FROM ({first}) TO ('{partition.until}')"),
    )


def _attach(table: PartitionedTable, name: str, bounds: str) -> str:
    return f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES {bounds}"


def _like(table: PartitionedTable, name: str, including: str = "") -> tuple[str, ...]:
    """What makes a table that can become a partition."""
    made = (
        f"CREATE TABLE {name} (LIKE {table.name}"
        f" INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE {including})"
    )
    if not table.is_append_only:
        return (made,)
    trigger = (
        "CREATE TRIGGER signalbox_append_only BEFORE UPDATE OR DELETE OR TRUNCATE"
        f" ON {name} FOR EACH STATEMENT EXECUTE FUNCTION signalbox_refuse_change()"
    )
    return (made, trigger)


async def size_bytes(session: AsyncSession, partition: Partition) -> int:
    """How much of the disk it takes, with its indexes and long values."""
    found: int | None = await session.scalar(
        text("SELECT pg_total_relation_size(CAST(CAST(:name AS text) AS regclass))"),
        {"name": partition.name},
    )
    return found or 0
