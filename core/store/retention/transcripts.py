"""Transcripts of sessions that have been at rest since before a time.

A session goes as a whole, or stays as a whole.  While its transcript is deleted, its row is locked:
a run that continues it is added before, and the session stays, or after, and finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import String, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.run import LIVE_STATUSES
from core.store.partitions.tables import Partition
from core.store.tables.base import check_in

# Distinct values from an index: one look for each of them, not for each row.
_SESSIONS = """
    WITH RECURSIVE found AS (
        (SELECT session_id FROM {partition} WHERE session_id > :after ORDER BY session_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT session_id FROM {partition} p WHERE p.session_id > found.session_id
            ORDER BY session_id LIMIT 1
        ) FROM found WHERE found.session_id IS NOT NULL
    )
    SELECT session_id FROM found WHERE session_id IS NOT NULL LIMIT :limit
"""
_UUID = "'^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$'"
# An id that is not a UUID belongs to no session of ours, but it can have been active, too.
_STATES = text(
    f"""
    SELECT known.session_id,
        EXISTS (
            SELECT FROM workflow_runs r
            WHERE r.session_id = known.id AND {check_in("r.status", LIVE_STATUSES)}
        ) AS is_live,
        EXISTS (
            SELECT FROM workflow_runs r
            WHERE r.session_id = known.id AND r.completed_at >= :before
        ) OR EXISTS (
            SELECT FROM transcript_entries t
            WHERE t.session_id = known.session_id AND t.stored_at >= :before
        ) AS is_recent
    FROM (
        SELECT session_id, CASE WHEN session_id ~ {_UUID} THEN session_id::uuid END AS id
        FROM unnest(CAST(:sessions AS text[])) AS session_id
    ) known
    """  # noqa: S608 - constants of this module
).bindparams(bindparam("sessions", type_=ARRAY(String)))
_LOCK = text(
    f"""
    SELECT id::text FROM sessions WHERE id IN (
        SELECT session_id::uuid FROM unnest(CAST(:sessions AS text[])) AS session_id
        WHERE session_id ~ {_UUID}
    )
    ORDER BY id FOR UPDATE SKIP LOCKED
    """  # noqa: S608 - constants of this module
).bindparams(bindparam("sessions", type_=ARRAY(String)))
_KNOWN = text(
    f"""
    SELECT id::text FROM sessions WHERE id IN (
        SELECT session_id::uuid FROM unnest(CAST(:sessions AS text[])) AS session_id
        WHERE session_id ~ {_UUID}
    )
    """  # noqa: S608 - constants of this module
).bindparams(bindparam("sessions", type_=ARRAY(String)))
_DELETE = text("DELETE FROM transcript_entries WHERE session_id = ANY(:sessions)").bindparams(
    bindparam("sessions", type_=ARRAY(String))
)
# To the time of the newest entry of each session: its order is that of the ids, and what is told
# of a session is the time of its newest entry.
_MOVE = """
    UPDATE transcript_entries t SET stored_at = newest.stored_at
    FROM (
        SELECT session_id, max(stored_at) AS stored_at FROM transcript_entries
        WHERE session_id = ANY(:sessions) GROUP BY session_id
    ) newest
    WHERE t.session_id = newest.session_id
        AND t.stored_at >= :first AND t.stored_at < :until AND newest.stored_at >= :until
"""


@dataclass(frozen=True, kw_only=True)
class SessionStates:
    """Sessions by whether their transcripts may go.

    Attributes:
        resting: Those that may.
        live: Those with a live run.
        recent: The others that stay.
    """

    resting: Sequence[str]
    live: Sequence[str]
    recent: Sequence[str]


async def sessions_in(
    session: AsyncSession, partition: Partition, *, after: str, limit: int
) -> list[str]:
    """The sessions that have entries in a partition, by their ids, after some id."""
    query = text(_SESSIONS.format(partition=partition.name))
    return list(await session.scalars(query, {"after": after, "limit": limit}))


async def states(
    session: AsyncSession, sessions: Sequence[str], *, before: datetime
) -> SessionStates:
    """Which of these sessions have been at rest since before a time."""
    rows = (await session.execute(_STATES, {"sessions": list(sessions), "before": before})).all()
    return SessionStates(
        resting=[row.session_id for row in rows if not row.is_live and not row.is_recent],
        live=[row.session_id for row in rows if row.is_live],
        recent=[row.session_id for row in rows if row.is_recent and not row.is_live],
    )


async def lock(session: AsyncSession, sessions: Sequence[str]) -> list[str]:
    """Lock sessions against new runs; return them without those that somebody else has locked."""
    values = {"sessions": list(sessions)}
    known = set(await session.scalars(_KNOWN, values))
    locked = set(await session.scalars(_LOCK, values))
    return [one for one in sessions if one in locked or one not in known]


async def delete(session: AsyncSession, sessions: Sequence[str]) -> int:
    """Delete the transcripts of these sessions; return the number of entries."""
    deleted = await session.execute(_DELETE, {"sessions": list(sessions)})
    return int(getattr(deleted, "rowcount", 0))


async def move(session: AsyncSession, partition: Partition, sessions: Sequence[str]) -> int:
    """Move the entries that these sessions have in a partition to where their newest ones are."""
    moved = await session.execute(
        text(_MOVE).bindparams(bindparam("sessions", type_=ARRAY(String))),
        {
            "sessions": list(sessions),
            "first": partition.first or datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
            "until": partition.until,
        },
    )
    return int(getattr(moved, "rowcount", 0))


async def is_empty(session: AsyncSession, partition: Partition) -> bool:
    """Whether a partition has no rows."""
    found = await session.scalar(
        text(f"SELECT EXISTS (SELECT FROM {partition.name})")  # noqa: S608 - a name of ours
    )
    return not found
