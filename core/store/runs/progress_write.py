"""The progress of a running attempt, written by one statement: the run's row, steps, events.

Once a second for each run that goes on, so it matters what it costs: as a transaction of several
statements it takes five times as much of the processor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from core.domain.runs.changes import RunChanges
from core.domain.runs.event import EventRecord
from core.domain.runs.run import RunStatus
from core.domain.runs.step import Step
from core.domain.sessions.ledger import LedgerEntry
from core.store.database.direct import DirectReads
from core.store.tables.types import sanitize_text, to_json


@dataclass(frozen=True, kw_only=True)
class ProgressWrite:
    """What there is to write of an attempt.

    Attributes:
        changes: The values of the run that progress changes; see `CHANGED`.
        steps: The steps that are new or have changed.
        step_ids: Of all steps; others are deleted.  `None` if no step was taken away.
        records: The events since the last write, oldest first.
        entry: The present entry of the attempt's agent in the ledger; `None` if it has none.
    """

    run_id: str
    attempt: int
    changes: RunChanges
    steps: Sequence[Step]
    step_ids: Collection[int] | None
    records: Sequence[EventRecord]
    entry: LedgerEntry | None = None


# Those of a run that a `ProgressWrite` can change; the last three keep their values if left out.
CHANGED = frozenset(
    {
        "turns", "usage", "tool_calls", "tools_used", "cost_usd", "cost_source",
        "ai_model", "metadata", "last_activity_at", "last_activity",
    }
)  # fmt: skip
# Each part follows from the first one: if the run was given to another attempt, nothing is
# written.  Its row stays locked until the end, so that the events of a run are committed in the
# order of their ids.  The version as of `compare_and_set`.
_WRITE = f"""
WITH changed AS (
    UPDATE workflow_runs AS r SET
        turns = $3::integer, input_tokens = $4::bigint, output_tokens = $5::bigint,
        total_tokens = $6::bigint, cache_read_tokens = $7::bigint,
        cache_creation_tokens = $8::bigint, tool_calls = $9::integer,
        tools_used = $10::text::jsonb, cost_estimate = $11::numeric, cost_source = $12::text,
        ai_model = coalesce($13::text, r.ai_model),
        metadata = r.metadata || coalesce($14::text::jsonb, '{{}}'),
        last_activity_at = coalesce($15::timestamptz, r.last_activity_at),
        last_activity = coalesce($16::text, r.last_activity),
        updated_at = $17::timestamptz,
        version = greatest(r.version, (
            SELECT max(t.version) FROM workflow_runs t WHERE t.thread_key = r.thread_key
        )) + 1
    WHERE r.run_id = $1::text AND r.attempt = $2::integer AND r.status = '{RunStatus.RUNNING.value}'
    RETURNING r.id, r.session_id
), dropped AS (
    DELETE FROM workflow_steps s USING changed
    WHERE s.run_id = changed.id AND NOT $18::text::jsonb @> to_jsonb(s.step_id)
), stepped AS (
    INSERT INTO workflow_steps AS s (
        run_id, step_id, source_id, name, active_name, status, started_at, completed_at, result,
        tools_used, tool_calls, cost_usd, error
    )
    SELECT changed.id, n.step_id, n.source_id, n.name, n.active_name, n.status, n.started_at,
        n.completed_at, n.result, n.tools_used, n.tool_calls, n.cost_usd, n.error
    FROM changed, jsonb_to_recordset($19::text::jsonb) AS n (
        step_id integer, source_id text, name text, active_name text, status text,
        started_at timestamptz, completed_at timestamptz, result text, tools_used jsonb,
        tool_calls integer, cost_usd numeric, error text
    )
    ON CONFLICT (run_id, step_id) DO UPDATE SET
        source_id = excluded.source_id, name = excluded.name, active_name = excluded.active_name,
        status = excluded.status, started_at = excluded.started_at,
        completed_at = excluded.completed_at, result = excluded.result,
        tools_used = excluded.tools_used, tool_calls = excluded.tool_calls,
        cost_usd = excluded.cost_usd, error = excluded.error
), told AS (
    INSERT INTO run_events (run_id, attempt, kind, at, data)
    SELECT changed.id, $2::integer, e.kind, e.at, e.data
    FROM changed, ROWS FROM (
        jsonb_to_recordset($20::text::jsonb) AS (kind text, at timestamptz, data jsonb)
    ) WITH ORDINALITY AS e (kind, at, data, place)
    ORDER BY e.place
), booked AS (
    INSERT INTO ledger_entries (
        run_id, attempt, session_id, source, cost_usd, input_tokens, output_tokens,
        cache_read_tokens, cache_creation_tokens, turns, recorded_at
    )
    SELECT changed.id, $2::integer, changed.session_id, $21::text, $22::numeric, $23::bigint,
        $24::bigint, $25::bigint, $26::bigint, $27::integer, $17::timestamptz
    FROM changed WHERE $21::text IS NOT NULL
    ON CONFLICT (run_id, attempt) DO UPDATE SET
        source = excluded.source, cost_usd = excluded.cost_usd,
        input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
        cache_read_tokens = excluded.cache_read_tokens,
        cache_creation_tokens = excluded.cache_creation_tokens, turns = excluded.turns,
        recorded_at = excluded.recorded_at
)
SELECT id FROM changed
"""  # noqa: S608 - no value of a person is in it


async def write(reads: DirectReads, given: ProgressWrite, *, now: datetime) -> UUID | None:
    """Write the progress of an attempt, all or nothing.

    Returns:
        The id of the run's row; `None` if the attempt is not the running one, and nothing was
        written.

    Raises:
        TypeError: If the changes name a field that is not of `CHANGED`.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlalchemy.exc.TimeoutError:
            If it fails; `translate_errors` knows them.
    """
    unknown = given.changes.keys() - CHANGED
    if unknown:
        raise TypeError(f"progress does not change {sorted(unknown)}")
    row = await reads.write_row(
        _WRITE,
        given.run_id,
        given.attempt,
        *_run_values(given.changes),
        now,
        None if given.step_ids is None else to_json(sorted(given.step_ids)),
        to_json([_step_values(step) for step in given.steps]),
        to_json([_event_values(record) for record in given.records]),
        *_entry_values(given.entry),
    )
    return None if row is None else row[0]


def _run_values(changes: RunChanges) -> tuple[Any, ...]:
    usage, metadata, source = changes["usage"], changes.get("metadata"), changes["cost_source"]
    return (
        changes["turns"],
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cache_read_tokens,
        usage.cache_creation_tokens,
        changes["tool_calls"],
        to_json(list(changes["tools_used"])),
        changes["cost_usd"],
        None if source is None else source.value,
        _text(changes.get("ai_model")),
        None if metadata is None else to_json(dict(metadata)),
        changes.get("last_activity_at"),
        _text(changes.get("last_activity")),
    )


def _entry_values(entry: LedgerEntry | None) -> tuple[Any, ...]:
    if entry is None:
        return (None,) * 7
    usage = entry.usage
    tokens = (
        (None,) * 4
        if usage is None
        else (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_creation_tokens,
        )
    )
    return (entry.source.value, entry.cost_usd, *tokens, entry.turns)


def _step_values(step: Step) -> dict[str, Any]:
    # A cost as a text: as a number of JSON it would lose digits in Python.
    return {name: getattr(step, name) for name in _STEP_FIELDS} | {
        "started_at": _moment(step.started_at),
        "completed_at": _moment(step.completed_at),
        "cost_usd": None if step.cost_usd is None else str(step.cost_usd),
    }


_STEP_FIELDS = (
    "step_id", "source_id", "name", "active_name", "status", "result", "tools_used", "tool_calls",
    "error",
)  # fmt: skip


def _event_values(record: EventRecord) -> dict[str, Any]:
    return {"kind": record.kind, "at": record.at.isoformat(), "data": dict(record.data)}


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _text(value: str | None) -> str | None:
    return None if value is None else sanitize_text(value)
