"""Fills an empty, migrated database with runs, by COPY.

Everything is one transaction: without its indexes first, which are made again at the end.  The
rows are written frozen, as a vacuum leaves them, so that nothing else has to be done before the
planner and index-only scans work as on a database that has run for years.  Then the answers about
ended runs are stored, as a bot stores them when runs end.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import asyncpg

from benchmarks.seed.answers import answer_all
from benchmarks.seed.lines import (
    RUN_COLUMNS,
    Lines,
    attempt_lines,
    event_lines,
    message_lines,
    run_lines,
    session_lines,
    step_lines,
    termination_lines,
    user_lines,
)
from benchmarks.seed.plans import Plan, plans
from core.domain.month import Month
from core.store.database.embedded.server import embedded_postgres
from core.store.partitions.tables import EVENTS, PARTITIONED_TABLES

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
# Such a cluster can be made again: nothing of it must survive a crash.
SETTINGS = MappingProxyType(
    {
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "30min",
        "autovacuum": "off",
        # The benchmarks run several bots at a time.
        "max_connections": "300",
    }
)
_BLOCK_LINES = 2_000
_PARTITIONED = frozenset(one.name for one in PARTITIONED_TABLES)


@dataclass(frozen=True, kw_only=True)
class _Table:
    name: str
    columns: Sequence[str]
    lines: Lines


_TABLES = (
    _Table(
        name="users",
        columns=("id", "name", "slack_team_id", "slack_user_id", "created_at", "updated_at"),
        lines=user_lines,
    ),
    _Table(
        name="sessions",
        columns=("id", "agent_name", "name", "user_id", "git_repo", "git_branch", "workspace_id",
                 "workspace_node", "created_at"),
        lines=session_lines,
    ),
    _Table(name="workflow_runs", columns=RUN_COLUMNS, lines=run_lines),
    _Table(
        name="workflow_steps",
        columns=("run_id", "step_id", "source_id", "name", "active_name", "status", "started_at",
                 "completed_at", "result", "tools_used", "tool_calls", "cost_usd", "error"),
        lines=step_lines,
    ),
    _Table(
        name="workflow_processes",
        columns=("id", "run_id", "attempt", "worker_id", "host", "agent_pid",
                 "agent_started_ticks", "agent_name", "started_at", "heartbeat_at", "ended_at",
                 "gone_at"),
        lines=attempt_lines,
    ),
    _Table(
        name="terminations",
        columns=("id", "run_id", "phase", "requested_at", "requested_by", "requested_by_name",
                 "requested_from", "reason", "force", "phases", "processes_seen", "proof_by",
                 "completed_at"),
        lines=termination_lines,
    ),
    _Table(
        name="messages",
        columns=("id", "session_id", "run_id", "user_id", "role", "message_type", "text_content",
                 "created_at"),
        lines=message_lines,
    ),
    _Table(
        name="run_events",
        columns=("run_id", "attempt", "kind", "at", "data"),
        lines=event_lines,
    ),
)  # fmt: skip


class NotEmpty(Exception):
    """The database has runs, which seeding would delete."""


Report = Callable[[str], None]


async def seed(
    dsn: str,
    *,
    runs: int,
    number: int = 1,
    report: Report = print,
    live: int | None = None,
    has_answers: bool = True,
) -> None:
    """Fill an empty database at the newest revision.

    Args:
        dsn: The database; the role must be a superuser.
        runs: The number of runs.
        number: The seed; the same one gives the same rows, beside the ids of events.
        report: Hears of each table, when it is filled.
        live: How many runs are live; `None` makes that a share of all.
        has_answers: Whether the answers about ended runs are stored.

    Raises:
        NotEmpty: If there are runs.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM workflow_runs)"):
            raise NotEmpty(dsn)
        began = time.monotonic()
        async with connection.transaction():
            await _fill(connection, list(plans(number, runs, live=live)), number, report)
        await connection.execute("ANALYZE")
        await connection.execute("VACUUM (FREEZE) run_events")
        if has_answers:
            answering = time.monotonic()
            await answer_all(dsn, runs=runs, number=number)
            report(f"  answers about ended runs in {time.monotonic() - answering:.0f} s")
            await connection.execute("VACUUM (ANALYZE) status_answers")
        report(f"{runs:,} runs in {time.monotonic() - began:.0f} s")
    finally:
        await connection.close(timeout=10)


async def _fill(
    connection: Connection, planned: Sequence[Plan], number: int, report: Report
) -> None:
    # No triggers and no checks of foreign keys: the rows are consistent.
    await connection.execute("SET LOCAL session_replication_role = replica")
    await connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
    names = ", ".join(table.name for table in _TABLES)
    await connection.execute(f"TRUNCATE {names} CASCADE")
    await _add_months(connection, planned)
    removed, restored = await _index_statements(connection)
    for statement in removed:
        await connection.execute(statement)
    for table in _TABLES:
        began = time.monotonic()
        status = await connection.copy_to_table(
            table.name,
            source=_blocks(table.lines(number, planned)),
            columns=list(table.columns),
            # Not of partitioned tables; the vacuum at the end does it.
            freeze=table.name not in _PARTITIONED,
        )
        rows = int(status.split()[-1])
        report(f"  {table.name}: {rows:,} rows in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    await connection.execute(_LEDGER)
    report(f"  ledger_entries in {time.monotonic() - began:.0f} s")
    await connection.execute(_MARKS)
    began = time.monotonic()
    for statement in restored:
        await connection.execute(statement)
    report(f"  {len(restored)} indexes in {time.monotonic() - began:.0f} s")


async def _add_months(connection: Connection, planned: Sequence[Plan]) -> None:
    """Add partitions for the months of all events that are past; the later ones are there."""
    if not planned:
        return
    begins = [plan.begins for plan in planned]
    month = Month.of(datetime.fromtimestamp(min(begins), UTC))
    # Long runs end later than they begin.
    last = Month.of(datetime.fromtimestamp(max(begins), UTC)).following
    while month <= last:
        if await connection.fetchval("SELECT to_regclass($1)", EVENTS.partition(month)) is None:
            await connection.execute(
                f"CREATE TABLE {EVENTS.partition(month)} PARTITION OF {EVENTS.name}"
                f" FOR VALUES FROM ('{month.start}') TO ('{month.following.start}')"
            )
        month = month.following


# One agent process for each run that has begun, with what the row says.
_LEDGER = """
    INSERT INTO ledger_entries
    SELECT id, attempt, session_id,
        CASE WHEN cost_estimate IS NULL THEN 'unknown' ELSE coalesce(cost_source, 'estimated') END,
        cost_estimate, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens,
        turns, coalesce(completed_at, updated_at)
    FROM workflow_runs WHERE started_at IS NOT NULL
"""
# Without triggers nothing has marked the days of the history.
_MARKS = """
    INSERT INTO analytics_marks (day)
    SELECT (completed_at AT TIME ZONE 'UTC')::date FROM workflow_runs WHERE completed_at IS NOT NULL
    UNION
    SELECT (requested_at AT TIME ZONE 'UTC')::date FROM terminations
"""
_INDEXES = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
    FROM pg_index
    WHERE indrelid = ANY($1::text[]::regclass[])
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    ORDER BY 1
"""
_STEP_KEY = """
    SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
    WHERE conrelid = 'workflow_steps'::regclass AND contype = 'p'
"""


async def _index_statements(connection: Connection) -> tuple[list[str], list[str]]:
    """Statements that drop the indexes of the large tables, and those that make them again.

    Of the keys that of the steps too, to which nothing refers: its order is that of random ids.
    """
    indexes = await connection.fetch(_INDEXES, [table.name for table in _TABLES])
    key = await connection.fetchrow(_STEP_KEY)
    if key is None:
        raise RuntimeError("the table of steps has a key")
    removed = [f"DROP INDEX {index['name']}" for index in indexes]
    removed.append(f"ALTER TABLE workflow_steps DROP CONSTRAINT {key['name']}")
    # Those of partitioned tables are made with those of their partitions.
    restored = [str(index["definition"]).replace(" ON ONLY ", " ON ") for index in indexes]
    restored.append(f"ALTER TABLE workflow_steps ADD CONSTRAINT {key['name']} {key['definition']}")
    return removed, restored


async def _blocks(lines: Iterator[str]) -> AsyncIterator[bytes]:
    """The lines in blocks, of which asyncpg sends each one at once."""
    while block := "".join(islice(lines, _BLOCK_LINES)):
        yield block.encode()


@asynccontextmanager
async def seed_server(folder: Path) -> AsyncIterator[str]:
    """The Postgres of a folder, made for seeding; yields its DSN."""
    async with embedded_postgres(folder, settings=SETTINGS) as dsn:
        yield dsn


async def new_database(dsn: str, name: str) -> str:
    """Make an empty database on an embedded server, and return its DSN."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close(timeout=5)
    return dsn.replace("/postgres?", f"/{name}?")
