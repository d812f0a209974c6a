"""All that the status of a run shows, read by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import asyncpg

from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import LIVE_STATUSES, Run
from core.domain.runs.step import Step
from core.store.database.direct import DirectReads
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
class EventWindow:
    """Which of a run's newest events a status needs.

    Attributes:
        kinds: The kinds for a live run.
        limit: The most events of these kinds.
        ended_kinds: The kinds for an ended run.
        ended_limit: The most events of these kinds.
        within: Only so many of the run's last events of any kind are looked at.
    """

    kinds: frozenset[EventKind]
    limit: int
    ended_kinds: frozenset[EventKind]
    ended_limit: int
    within: int


@dataclass(frozen=True)
class RowMark:
    """Another one for each state of a run's row.

    Attributes:
        version: Of the run.
        written_by: The transaction that wrote the row last: it also tells of writes that leave the
            version as it is.
    """

    version: int
    written_by: int


@dataclass(frozen=True, kw_only=True)
class StatusRead:
    """A run, and what was read with it.

    Attributes:
        mark: Of the row as it was read.
        steps: In their order.
        events: The newest ones of the window, oldest first; none unless they were asked for.
    """

    run: Run
    mark: RowMark
    steps: Sequence[Step]
    events: Sequence[EventRecord]


async def read_mark(reads: DirectReads, run_id: str) -> RowMark | None:
    """Read what tells whether a run's row is another one; `None` if no run has this id."""
    row = await reads.fetch_row(_MARK_STATEMENT, run_id)
    return None if row is None else RowMark(row[0], row[1])


async def read(reads: DirectReads, run_id: str, *, window: EventWindow | None) -> StatusRead | None:
    """Read a run with its steps and its newest events; `None` if no run has this id.

    Args:
        reads: Of the database.
        run_id: The whole id.
        window: The events to read; `None` is none.
    """
    row = await reads.fetch_row(statement_for(window), run_id)
    return None if row is None else _read(row)


async def read_many(
    reads: DirectReads, run_ids: Sequence[str], *, window: EventWindow
) -> list[StatusRead]:
    """Read several runs at once, each as `read` does, in any order."""
    rows = await reads.fetch(statement_for(window, is_for_many=True), list(run_ids))
    return [_read(row) for row in rows]


def _read(row: asyncpg.Record) -> StatusRead:
    run, (steps, events) = run_and_parts(row, "_xmin")
    return StatusRead(
        run=run,
        mark=RowMark(row["version"], row["_xmin"]),
        steps=steps_of(steps),
        events=events_of(events),
    )


_IS_LIVE = f"r.status IN ({quoted(LIVE_STATUSES)})"
_MARK_STATEMENT = "SELECT version, xmin FROM workflow_runs WHERE run_id = $1"


@cache
def statement_for(window: EventWindow | None, *, is_for_many: bool = False) -> str:
    """The statement of `read`, whose only argument is the id of the run, or of `read_many`.

    The rest is written into it: arguments take as long to send as the run takes to read, and with
    them Postgres may plan each execution anew.
    """
    events = "NULL" if window is None else _events_of(window)
    return f"""
SELECT {PLAIN_COLUMNS}, r.xmin AS _xmin, {json_value(STEPS, events)}
FROM workflow_runs r WHERE r.run_id = {"ANY($1::text[])" if is_for_many else "$1"}
"""  # noqa: S608 - no value of a person is in it


def _events_of(window: EventWindow) -> str:
    return f"""(
        SELECT {EVENTS} FROM (
            SELECT * FROM (
                SELECT id, kind, at, data FROM run_events
                WHERE run_id = r.id AND {IS_SINCE_CREATION} ORDER BY id DESC LIMIT {window.within}
            ) newest
            WHERE CASE WHEN {_IS_LIVE} THEN kind IN ({quoted(window.kinds)})
                ELSE kind IN ({quoted(window.ended_kinds)}) END
            ORDER BY id DESC
            LIMIT CASE WHEN {_IS_LIVE} THEN {window.limit} ELSE {window.ended_limit} END
        ) e
    )"""  # noqa: S608 - no value of a person is in it
