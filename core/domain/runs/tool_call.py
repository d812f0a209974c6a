"""The tool calls of runs: when each began and ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call of a tool, by the main agent or a subagent.

    Attributes:
        run_id: The id of the run's row (not `run_…`).
        call_id: The agent's own id of the call.
        ended_at: `None` while it is open, or if it was cut off.
    """

    run_id: UUID
    attempt: int
    call_id: str
    name: str
    summary: str
    started_at: datetime
    ended_at: datetime | None = None
    is_error: bool = False
    is_subagent: bool = False
