"""All that the status of a run shows, read by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
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


@dataclass(frozen=True, kw_only=True)
class StatusRead:
    """A run, and what was read with it.

    Attributes:
        is_known: Whether the run has the version that the caller knows; then there is nothing
            but the run.
        steps: In their order.
        events: The newest ones of the window, oldest first; none unless they were asked for.
    """

    run: Run
    is_known: bool
    steps: Sequence[Step]
    events: Sequence[EventRecord]


async def read(
    reads: DirectReads, run_id: str, *, known_version: int | None, window: EventWindow | None
) -> StatusRead | None:
    """Read a run with its steps and its newest events; `None` if no run has this id.

    Args:
        reads: Of the database.
        run_id: The whole id.
        known_version: The version of the run of which the caller needs nothing but the run.
        window: The events to read; `None` is none.
    """
    row = await reads.fetch_row(STATEMENT, *arguments(run_id, known_version, window))
    if row is None:
        return None
    values = dict(row)
    is_known, parsed = values.pop("_is_known"), values.pop("_json")
    steps, events = parsed[len(_JSON_COLUMNS) :]
    values.update(zip(_JSON_COLUMNS, parsed, strict=False))
    return StatusRead(
        run=run_of(values),
        is_known=is_known,
        steps=tuple(_step(one) for one in steps or ()),
        events=tuple(_event(one) for one in events or ()),
    )


def arguments(
    run_id: str, known_version: int | None, window: EventWindow | None
) -> tuple[object, ...]:
    """The arguments of `STATEMENT`, from those of `read`."""
    known = -1 if known_version is None else known_version
    if window is None:
        return run_id, known, 0, 0, [], 0, []
    return (
        run_id,
        known,
        window.within,
        window.limit,
        sorted(window.kinds),
        window.ended_limit,
        sorted(window.ended_kinds),
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
# Costs as texts: a number of JSON would lose digits in Python.
STATEMENT = f"""
SELECT {_PLAIN}, r.version = $2 AS _is_known, json_build_array({_JSON},
    CASE WHEN r.version <> $2 THEN (
        SELECT json_agg(
            json_build_array(
                s.step_id, s.source_id, s.name, s.active_name, s.status, s.started_at,
                s.completed_at, s.result, s.tools_used, s.tool_calls, s.cost_usd::text, s.error
            ) ORDER BY s.step_id
        ) FROM workflow_steps s WHERE s.run_id = r.id
    ) END,
    CASE WHEN r.version <> $2 AND $3 > 0 THEN (
        SELECT json_agg(json_build_array(e.id, e.kind, e.at, e.data) ORDER BY e.id) FROM (
            SELECT * FROM (
                SELECT id, kind, at, data FROM run_events
                WHERE run_id = r.id ORDER BY id DESC LIMIT $3::int
            ) newest
            WHERE kind = ANY(CASE WHEN {_IS_LIVE} THEN $5::text[] ELSE $7::text[] END)
            ORDER BY id DESC LIMIT CASE WHEN {_IS_LIVE} THEN $4::int ELSE $6::int END
        ) e
    ) END
    ) AS _json
FROM workflow_runs r WHERE r.run_id = $1
"""  # noqa: S608 - no value of a person is in it


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
