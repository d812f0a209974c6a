"""The rows as an external reader sees them: plain SQL that waits while the database is down."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import asyncpg

Row = dict[str, Any]

_UNAVAILABLE_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    TimeoutError,
)
_MAX_WAIT_SECONDS = 90.0

FINAL = frozenset({"completed", "failed", "killed"})
_RUNS_OF_TASK = """
    SELECT * FROM workflow_runs WHERE session_id IN (
        SELECT session_id FROM workflow_runs WHERE task_input LIKE '%' || $1::text || '.%'
    ) ORDER BY created_at, run_id
"""


class Rows:
    """Queries to the database."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Rows of a query; repeated while there is no database."""
        deadline = time.monotonic() + _MAX_WAIT_SECONDS
        while True:
            try:
                async with asyncio.timeout(15), self._pool.acquire() as connection:
                    return [dict(row) for row in await connection.fetch(sql, *arguments)]
            except _UNAVAILABLE_ERRORS:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.3)

    async def runs_of_task(self, tag: str) -> list[Row]:
        """All runs of a task: those that contain its tag, and their continuations."""
        return await self.fetch(_RUNS_OF_TASK, tag)

    async def runs_with_task(self, words: str) -> list[Row]:
        """The runs whose task contains these words."""
        return await self.fetch(
            "SELECT * FROM workflow_runs WHERE task_input LIKE '%' || $1::text || '%'"
            " ORDER BY created_at",
            words,
        )

    async def events(self, run: Row) -> list[Row]:
        """The run's events, oldest first."""
        return _loaded(
            await self.fetch("SELECT * FROM run_events WHERE run_id = $1 ORDER BY id", run["id"]),
            "data",
        )

    async def terminations(self, run: Row) -> list[Row]:
        """The run's terminations, oldest first."""
        return await self.fetch(
            "SELECT * FROM terminations WHERE run_id = $1 ORDER BY requested_at", run["id"]
        )

    async def processes(self, run: Row) -> list[Row]:
        """The run's attempts."""
        return await self.fetch(
            "SELECT * FROM workflow_processes WHERE run_id = $1 ORDER BY attempt", run["id"]
        )

    async def audit(self, run: Row) -> list[Row]:
        """The run's entries in the audit log."""
        return await self.fetch("SELECT * FROM audit_log WHERE run_id = $1 ORDER BY id", run["id"])

    async def messages(self, run: Row) -> list[Row]:
        """The run's messages."""
        return await self.fetch(
            "SELECT * FROM messages WHERE run_id = $1 ORDER BY created_at", run["id"]
        )

    async def jobs(self, run: Row) -> list[Row]:
        """The engine's jobs of the run, and whether their worker has been silent for long."""
        return await self.fetch(
            "SELECT jobs.*, jobs.worker_id IS NOT NULL AND workers.last_heartbeat IS NULL"
            "   OR workers.last_heartbeat < now() - interval '10 seconds' AS is_abandoned"
            " FROM procrastinate.procrastinate_jobs AS jobs"
            " LEFT JOIN procrastinate.procrastinate_workers AS workers"
            "   ON workers.id = jobs.worker_id"
            " WHERE jobs.args ->> 'run_id' = $1 ORDER BY jobs.id",
            run["run_id"],
        )

    async def transcript(self, session_id: object) -> list[Row]:
        """The lines of the conversation's main thread."""
        return _loaded(
            await self.fetch(
                "SELECT id, entry_uuid, entry::text AS entry FROM transcript_entries"
                " WHERE session_id = $1 AND subpath = '' ORDER BY id",
                str(session_id),
            ),
            "entry",
        )

    async def live(self) -> list[Row]:
        """All runs that have not ended."""
        return await self.fetch(
            "SELECT * FROM workflow_runs WHERE status IN ('pending', 'running') ORDER BY created_at"
        )


def _loaded(rows: list[Row], column: str) -> list[Row]:
    return [row | {column: json.loads(row[column])} for row in rows]
