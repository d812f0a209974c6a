"""All that the thread of a session shows, read by one statement, while nothing unusual goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg

from core.domain.actor import User
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.restarts.origin import RESTART_KEY
from core.domain.runs.run import LIVE_STATUSES, Run, RunStatus
from core.domain.runs.snapshot import SessionTotal
from core.domain.runs.step import Step
from core.store.database.direct import DirectReads
from core.store.ledger import SPENT_IN_SESSION, spent_of
from core.store.runs.row_parts import (
    EVENTS,
    IS_SINCE_CREATION,
    PLAIN_COLUMNS,
    STEPS,
    events_of,
    json_value,
    run_and_parts,
    steps_of,
)
from core.store.tables.base import quoted


@dataclass(frozen=True, kw_only=True)
class LegRead:
    """A run of a thread, and what was read with it.

    Attributes:
        has_more: Whether more of it is shown: its kill, its place in the queue, progress posts,
            restarts.
        notices: The first events of the wanted kinds, oldest first.
        total: Of its session.
    """

    run: Run
    has_more: bool
    owner: User | None
    steps: Sequence[Step]
    notices: Sequence[EventRecord]
    total: SessionTotal


async def read(
    reads: DirectReads, thread_key: str, *, kinds: frozenset[EventKind], limit: int
) -> list[LegRead]:
    """Read the runs of a thread, oldest first.

    Args:
        reads: Of the database.
        thread_key: Of the thread.
        kinds: The events to read.
        limit: The most events of each run.
    """
    rows = await reads.fetch(_statement_for(kinds, limit), thread_key)
    return [_read(row) for row in rows]


async def undisturbed(reads: DirectReads, thread_keys: Sequence[str]) -> frozenset[str]:
    """Those of the threads that have a live run which is not being killed and waits for nobody."""
    rows = await reads.fetch(_UNDISTURBED, list(thread_keys))
    return frozenset(row[0] for row in rows)


_UNDISTURBED = f"""
    SELECT thread_key FROM workflow_runs
    WHERE thread_key = ANY($1::text[]) AND status IN ({quoted(LIVE_STATUSES)})
        AND kill_requested_at IS NULL AND waiting_on IS NULL
"""  # noqa: S608 - no value of a person is in it
_TOTAL = """(
    SELECT json_build_array(count(*), coalesce(sum(t.turns), 0))
    FROM workflow_runs t WHERE t.session_id = r.session_id
)"""
_OWNER = """(
    SELECT json_build_array(u.id, u.name, u.slack_team_id, u.slack_user_id)
    FROM users u WHERE u.id = r.user_id
)"""


@cache
def _statement_for(kinds: frozenset[EventKind], limit: int) -> str:
    notices = f"""(
        SELECT {EVENTS} FROM (
            SELECT id, kind, at, data FROM run_events
            WHERE run_id = r.id AND {IS_SINCE_CREATION} AND kind IN ({quoted(kinds)})
            ORDER BY id LIMIT {limit}
        ) e
    )"""  # noqa: S608 - no value of a person is in it
    # Of runs created at the same moment, the session's first one, without a parent, comes first.
    return f"""
SELECT {PLAIN_COLUMNS},
    r.kill_requested_at IS NOT NULL OR r.status = '{RunStatus.PENDING.value}'
        OR EXISTS (SELECT FROM run_progress_posts p WHERE p.run_id = r.id)
        OR r.metadata ? '{RESTART_KEY}'
        OR EXISTS (
            SELECT FROM workflow_runs n
            WHERE n.parent_run_id = r.id AND n.metadata ? '{RESTART_KEY}'
        ) AS _has_more,
    {json_value(_OWNER, STEPS, notices, _TOTAL, SPENT_IN_SESSION)}
FROM workflow_runs r WHERE r.thread_key = $1
ORDER BY r.created_at, r.parent_run_id IS NOT NULL, r.id
"""  # noqa: S608 - no value of a person is in it


def _read(row: asyncpg.Record) -> LegRead:
    run, (owner, steps, notices, total, spent) = run_and_parts(row, "_has_more")
    legs, turns = total
    return LegRead(
        run=run,
        has_more=row["_has_more"],
        owner=None if owner is None else _user(owner),
        steps=steps_of(steps),
        notices=events_of(notices),
        total=SessionTotal(legs=legs, turns=turns, spent=spent_of(spent)),
    )


def _user(stored: Sequence[Any]) -> User:
    identity, name, team_id, slack_user_id = stored
    return User(id=UUID(identity), name=name, slack_team_id=team_id, slack_user_id=slack_user_id)
