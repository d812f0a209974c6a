"""All that the status of a run shows, read by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from core.domain.building import build
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import LIVE_STATUSES, Run
from core.domain.runs.step import Step, StepStatus
from core.store.database.direct import DirectReads
from core.store.runs.columns import READ_COLUMNS, run_of
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
    if row is None:
        return None
    values = dict(row)
    mark, parsed = RowMark(row["version"], values.pop("_xmin")), values.pop("_json")
    steps, events = parsed[len(_JSON_COLUMNS) :]
    values.update(zip(_JSON_COLUMNS, parsed, strict=False))
    return StatusRead(
        run=run_of(values),
        mark=mark,
        steps=tuple([_step(one) for one in steps or ()]),
        events=tuple([_event(one) for one in events or ()]),
    )


# Each value of JSON by itself would be parsed by itself.
_JSON_COLUMNS = ("git_diff_stats", "initial_branches", "metadata", "tools_used", "outcome_reasons")
_PLAIN = ", ".join(
    f"r.{column} AS {field}"
    for column, field in READ_COLUMNS.items()
    if column not in _JSON_COLUMNS
)
_JSON = ", ".join(f"r.{column}" for column in _JSON_COLUMNS)
_IS_LIVE = f"r.status IN ({quoted(LIVE_STATUSES)})"
_MARK_STATEMENT = "SELECT version, xmin FROM workflow_runs WHERE run_id = $1"


@cache
def statement_for(window: EventWindow | None) -> str:
    """The statement of `read`, whose only argument is the id of the run.

    The rest is written into it: arguments take as long to send as the run takes to read, and with
    them Postgres may plan each execution anew.
    """
    # Costs as texts: a number of JSON would lose digits in Python.
    return f"""
SELECT {_PLAIN}, r.xmin AS _xmin, json_build_array({_JSON},
    (
        SELECT json_agg(
            json_build_array(
                s.step_id, s.source_id, s.name, s.active_name, s.status, s.started_at,
                s.completed_at, s.result, s.tools_used, s.tool_calls, s.cost_usd::text, s.error
            ) ORDER BY s.step_id
        ) FROM workflow_steps s WHERE s.run_id = r.id
    ),
    {"NULL" if window is None else _events_of(window)}
    ) AS _json
FROM workflow_runs r WHERE r.run_id = $1
"""  # noqa: S608 - no value of a person is in it


def _events_of(window: EventWindow) -> str:
    return f"""(
        SELECT json_agg(json_build_array(e.id, e.kind, e.at, e.data) ORDER BY e.id) FROM (
            SELECT * FROM (
                SELECT id, kind, at, data FROM run_events
                WHERE run_id = r.id ORDER BY id DESC LIMIT {window.within}
            ) newest
            WHERE CASE WHEN {_IS_LIVE} THEN kind IN ({quoted(window.kinds)})
                ELSE kind IN ({quoted(window.ended_kinds)}) END
            ORDER BY id DESC
            LIMIT CASE WHEN {_IS_LIVE} THEN {window.limit} ELSE {window.ended_limit} END
        ) e
    )"""  # noqa: S608 - no value of a person is in it


def _step(stored: Sequence[Any]) -> Step:
    cost = stored[10]
    return build(
        Step,
        {
            "step_id": stored[0],
            "source_id": stored[1],
            "name": stored[2],
            "active_name": stored[3],
            "status": StepStatus(stored[4]),
            "started_at": _moment(stored[5]),
            "completed_at": _moment(stored[6]),
            "result": stored[7],
            "tools_used": tuple(stored[8]),
            "tool_calls": stored[9],
            "cost_usd": None if cost is None else Decimal(cost),
            "error": stored[11],
        },
    )


def _event(stored: Sequence[Any]) -> EventRecord:
    at = datetime.fromisoformat(stored[2])
    return EventRecord(id=stored[0], kind=EventKind(stored[1]), at=at, data=stored[3])


def _moment(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored)
