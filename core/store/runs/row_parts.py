"""The parts of statements that read runs with what belongs to them at once, and their values.

They name the run's table `r`, and put all JSON of a row into one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg

from core.domain.building import build
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.domain.runs.step import Step, StepStatus
from core.store.runs.columns import READ_COLUMNS, run_of

# Each value of JSON by itself would be parsed by itself.
_JSON_COLUMNS = ("git_diff_stats", "initial_branches", "metadata", "tools_used", "outcome_reasons")
_JSON = "_json"
# The columns of a run beside those of JSON.
PLAIN_COLUMNS = ", ".join(
    f"r.{column} AS {field}"
    for column, field in READ_COLUMNS.items()
    if column not in _JSON_COLUMNS
)
# Costs as texts: a number of JSON would lose digits in Python.
STEPS = """(
    SELECT json_agg(
        json_build_array(
            s.step_id, s.source_id, s.name, s.active_name, s.status, s.started_at,
            s.completed_at, s.result, s.tools_used, s.tool_calls, s.cost_usd::text, s.error
        ) ORDER BY s.step_id
    ) FROM workflow_steps s WHERE s.run_id = r.id
)"""
# Of events in a table `e`.
EVENTS = "json_agg(json_build_array(e.id, e.kind, e.at, e.data) ORDER BY e.id)"

# Of events: true of all those of the run in a table `r`, up to the difference of two clocks.  With
# it Postgres leaves out the months before.
IS_SINCE_CREATION = "at >= r.created_at - interval '24 hours'"


def json_value(*parts: str) -> str:
    """SQL: the columns of JSON, and further values, as one value of JSON."""
    columns = (f"r.{column}" for column in _JSON_COLUMNS)
    return f"json_build_array({', '.join((*columns, *parts))}) AS {_JSON}"


def run_and_parts(row: asyncpg.Record, *beside: str) -> tuple[Run, Sequence[Any]]:
    """The run of a row, and the further values of its `json_value`.

    Args:
        row: With `PLAIN_COLUMNS` and `json_value`.
        beside: The columns of the row that are not of the run.
    """
    values = dict(row)
    parsed = values.pop(_JSON)
    for name in beside:
        del values[name]
    values.update(zip(_JSON_COLUMNS, parsed, strict=False))
    return run_of(values), parsed[len(_JSON_COLUMNS) :]


def steps_of(stored: Sequence[Any] | None) -> tuple[Step, ...]:
    """The steps that `STEPS` has read."""
    return tuple([_step(one) for one in stored or ()])


def events_of(stored: Sequence[Any] | None) -> tuple[EventRecord, ...]:
    """The events that `EVENTS` has read."""
    return tuple([_event(one) for one in stored or ()])


def moment_of(stored: str | None) -> datetime | None:
    """A time as JSON has it."""
    return None if stored is None else datetime.fromisoformat(stored)


def amount_of(stored: str | None) -> Decimal | None:
    """A cost that was read as a text."""
    return None if stored is None else Decimal(stored)


def _step(stored: Sequence[Any]) -> Step:
    return build(
        Step,
        {
            "step_id": stored[0],
            "source_id": stored[1],
            "name": stored[2],
            "active_name": stored[3],
            "status": StepStatus(stored[4]),
            "started_at": moment_of(stored[5]),
            "completed_at": moment_of(stored[6]),
            "result": stored[7],
            "tools_used": tuple(stored[8]),
            "tool_calls": stored[9],
            "cost_usd": amount_of(stored[10]),
            "error": stored[11],
        },
    )


def _event(stored: Sequence[Any]) -> EventRecord:
    at = datetime.fromisoformat(stored[2])
    return EventRecord(id=stored[0], kind=EventKind(stored[1]), at=at, data=stored[3])
