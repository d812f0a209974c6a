"""A synthetic year: runs of sessions with events, transcripts, audit entries, ledger and kills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from core.domain.month import Month
from core.store.database.engine import Database
from core.store.partitions import partitions
from core.store.partitions.tables import PARTITIONED_TABLES

DAYS = 365
# Of the sessions a tenth is taken up again and again over the whole year, the rest within hours.
# A few runs last for months, and a few still go on.
_STATEMENTS = (
    "SELECT setseed({seed})",
    """
    INSERT INTO sessions (id, agent_name, created_at)
    SELECT gen_random_uuid(), 'implement',
        '{start}'::timestamptz + random() * interval '{days} days'
    FROM generate_series(1, {sessions})
    """,
    """
    WITH legs AS (
        SELECT s.id AS session_id, n,
            least(s.created_at + CASE WHEN s.place % 10 = 0
                THEN n * interval '40 days' ELSE n * interval '3 hours' END,
                '{now}'::timestamptz - interval '1 hour') AS begun,
            row_number() OVER () AS number
        FROM (SELECT *, row_number() OVER (ORDER BY id) AS place FROM sessions) s
        CROSS JOIN generate_series(0, {legs} - 1) n
    )
    INSERT INTO workflow_runs (
        id, run_id, workflow_name, task_input, session_id, status, stop_reason, created_at,
        started_at, completed_at, updated_at, duration_seconds, tool_calls
    )
    SELECT gen_random_uuid(), 'run_' || lpad(to_hex(number), 12, '0'), 'implement', 'Do it',
        session_id,
        CASE WHEN is_live THEN 'running' ELSE 'completed' END,
        CASE WHEN NOT is_live THEN 'success' END,
        begun, begun, CASE WHEN NOT is_live THEN begun + lasting END, begun,
        CASE WHEN NOT is_live THEN extract(epoch FROM lasting)::integer END, 5
    FROM legs
    CROSS JOIN LATERAL (
        SELECT n = {legs} - 1 AND number % 97 = 0 AS is_live,
            least(CASE WHEN number % 211 = 0 THEN interval '120 days'
                ELSE (60 + number % 3000) * interval '1 second' END,
                '{now}'::timestamptz - begun) AS lasting
    ) drawn
    """,
    """
    INSERT INTO run_events (run_id, attempt, kind, at, data)
    SELECT r.id, 1, 'tool_started',
        r.started_at + (coalesce(r.completed_at, '{now}') - r.started_at) * (n::float / {events}),
        jsonb_build_object('tool', 'Bash', 'input', repeat('x', 300))
    FROM workflow_runs r CROSS JOIN generate_series(1, {events}) n
    ORDER BY 4
    """,
    """
    INSERT INTO transcript_entries
        (scope, session_id, subpath, project_key, entry_uuid, entry, stored_at)
    SELECT '', r.session_id::text, '', 'p', gen_random_uuid()::text,
        json_build_object('type', 'user', 'text', repeat('y', 400)),
        r.started_at + (coalesce(r.completed_at, '{now}') - r.started_at) * (n::float / {entries})
    FROM workflow_runs r CROSS JOIN generate_series(1, {entries}) n
    ORDER BY 7
    """,
    """
    INSERT INTO audit_log (at, action, allowed, run_id, actor_role, actor_origin, actor_name)
    SELECT r.created_at, action, true, r.id, 2, 'slack', 'ann'
    FROM workflow_runs r CROSS JOIN unnest(ARRAY['start', 'view']) AS action
    ORDER BY 1
    """,
    """
    INSERT INTO ledger_entries (run_id, attempt, session_id, source, cost_usd, turns, recorded_at)
    SELECT id, 1, session_id, 'reported', 0.25, 7, updated_at FROM workflow_runs
    """,
)


@dataclass(frozen=True, kw_only=True)
class Year:
    """How much there is of everything.

    Attributes:
        now: The end of the year.
        legs: Runs of each session.
        events: Of each run, as `entries` of its transcript.
    """

    now: datetime
    sessions: int = 250
    legs: int = 3
    events: int = 12
    entries: int = 8
    seed: int = 1

    @property
    def start(self) -> datetime:
        """Its beginning."""
        return self.now - timedelta(days=DAYS)


async def fill(database: Database, year: Year) -> None:
    """Fill an empty database with a year, in partitions by month as a year of use leaves them."""
    month = Month.of(year.start)
    while month < Month.of(year.now):
        for table in PARTITIONED_TABLES:
            await partitions.add_month(database.reads, table, month)
        month = month.following
    values = {
        "seed": year.seed / 1000,
        "start": year.start.isoformat(),
        "now": year.now.isoformat(),
        "days": DAYS,
        "sessions": year.sessions,
        "legs": year.legs,
        "events": year.events,
        "entries": year.entries,
    }
    async with database.sessions.begin() as session:
        for statement in _STATEMENTS:
            await session.execute(text(statement.format(**values)))
    async with database.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("VACUUM ANALYZE"))


def present() -> datetime:
    """The moment at which the year ends, on a whole second."""
    return datetime.now(UTC).replace(microsecond=0)
