"""What others notice while retention works: how long they wait for locks, and for answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text

from core.store.database.engine import Database, open_database

# Who waits for a table or a row; waits of the one who changes partitions count as well.
_WAITS = text(
    """
    SELECT extract(epoch FROM max(clock_timestamp() - waitstart)) * 1000
    FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL
    """
)
_WORK = (
    """
    INSERT INTO run_events (run_id, attempt, kind, at, data)
    VALUES (:run, 1, 'tool_started', clock_timestamp(), '{"probe": true}')
    """,
    "SELECT count(*) FROM run_events WHERE run_id = :run",
    """
    SELECT count(*) FROM transcript_entries
    WHERE session_id = (SELECT session_id::text FROM workflow_runs WHERE id = :run)
    """,
    """
    INSERT INTO audit_log (at, action, allowed, actor_role, actor_origin, actor_name)
    VALUES (clock_timestamp(), 'probe', true, 2, 'slack', 'ann')
    """,
    "UPDATE workflow_runs SET tool_calls = tool_calls + 1 WHERE id = :run",
)


@dataclass
class Waits:
    """The longest waits, in milliseconds.

    Attributes:
        lock: For a lock, by Postgres's own account.
        statement: Of an ordinary statement for its answer, on whatever the machine does besides.
        statements: How many of these there were.
        machine: Of a statement that needs no lock: for so long a busy machine makes any process
            wait, also one that holds a lock.
    """

    lock: float = 0.0
    statement: float = 0.0
    machine: float = 0.0
    statements: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


@asynccontextmanager
async def watched(database: Database, live_run: UUID) -> AsyncIterator[Waits]:
    """Work on a live run during the block, and look for waits; ends with a look at the end."""
    waits = Waits()
    async with open_database(database.dsn, pool_size=3) as own, asyncio.TaskGroup() as group:
        group.create_task(_work(own, live_run, waits))
        group.create_task(_look(own, waits))
        group.create_task(_compute(own, waits))
        try:
            yield waits
        finally:
            waits._stop.set()


async def _work(own: Database, live_run: UUID, waits: Waits) -> None:
    while not waits._stop.is_set():
        for statement in _WORK:
            began = time.monotonic()
            async with own.sessions.begin() as session:
                values = {"run": live_run} if ":run" in statement else {}
                await session.execute(text(statement), values)
            waits.statement = max(waits.statement, (time.monotonic() - began) * 1000)
            waits.statements += 1


async def _look(own: Database, waits: Waits) -> None:
    async with own.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        while not waits._stop.is_set():
            found = await plain.scalar(_WAITS)
            waits.lock = max(waits.lock, float(found or 0))
            await asyncio.sleep(0.002)


async def _compute(own: Database, waits: Waits) -> None:
    async with own.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        while not waits._stop.is_set():
            began = time.monotonic()
            await plain.execute(text("SELECT 1"))
            waits.machine = max(waits.machine, (time.monotonic() - began) * 1000)
            await asyncio.sleep(0.002)


async def live_run(database: Database) -> UUID:
    """A run that goes on."""
    async with database.sessions() as session:
        found = await session.scalar(
            text("SELECT id FROM workflow_runs WHERE status = 'running' ORDER BY created_at")
        )
    assert isinstance(found, UUID)
    return found
