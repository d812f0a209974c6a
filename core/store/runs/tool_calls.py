"""The tool calls of runs, put together from their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.event import EventKind
from core.domain.runs.tool_call import ToolCall

# What a line of a timeline can show.
_SUMMARY_CHARS = 160
_NEWEST = text(
    "SELECT e.* FROM unnest(CAST(:runs AS uuid[])) AS wanted(run_id) CROSS JOIN LATERAL ("
    " SELECT id, run_id, attempt, kind, at, data->>'id' AS call_id, data->>'name' AS name,"
    " left(data->>'summary', :summary) AS summary,"
    " coalesce(data->>'error', 'false') = 'true' AS is_error,"
    " coalesce(data->>'subagent', 'false') = 'true' AS is_subagent"
    " FROM run_events WHERE run_events.run_id = wanted.run_id AND kind = ANY(:kinds)"
    " ORDER BY id DESC LIMIT :events) AS e ORDER BY e.id"
).bindparams(bindparam("summary", _SUMMARY_CHARS))
_KINDS = [EventKind.TOOL_STARTED.value, EventKind.TOOL_FINISHED.value]


class _Event(NamedTuple):
    """A row of the statement above."""

    id: int
    run_id: UUID
    attempt: int
    kind: str
    at: datetime
    call_id: str | None
    name: str | None
    summary: str | None
    is_error: bool
    is_subagent: bool


async def newest_of_runs(
    session: AsyncSession, runs: Sequence[UUID], *, limit: int
) -> list[ToolCall]:
    """The newest tool calls of each of these runs, in the order in which they began.

    Args:
        session: An open database session.
        runs: Row ids.
        limit: The most calls of each run.
    """
    if not runs:
        return []
    # A call has two events: its start and its end.
    rows = await session.execute(
        _NEWEST, {"runs": list(runs), "kinds": _KINDS, "events": 2 * limit}
    )
    return _paired([_Event(*row) for row in rows])


def _paired(found: Sequence[_Event]) -> list[ToolCall]:
    """The starts with their ends; an end whose start is not among them is left out."""
    ends = {
        (event.run_id, event.attempt, event.call_id): event
        for event in found
        if event.kind == EventKind.TOOL_FINISHED
    }
    calls = []
    for event in found:
        if event.kind != EventKind.TOOL_STARTED:
            continue
        end = ends.get((event.run_id, event.attempt, event.call_id))
        calls.append(
            ToolCall(
                run_id=event.run_id,
                attempt=event.attempt,
                call_id=event.call_id or "",
                name=event.name or "tool",
                summary=event.summary or "",
                started_at=event.at,
                ended_at=None if end is None else max(end.at, event.at),
                is_error=end is not None and end.is_error,
                is_subagent=event.is_subagent,
            )
        )
    return calls
