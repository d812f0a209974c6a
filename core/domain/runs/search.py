"""What a list of runs is restricted to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.domain.runs.outcome import Outcome
from core.domain.runs.run import RunStatus, StopReason

# Texts are read one by one: no index serves them, which each change of a run would have to keep.
TEXT_WINDOW = 10_000
MAX_SEARCH_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class RunSearch:
    """Conditions that all hold; `None`, `False` and an empty set restrict nothing.

    Attributes:
        is_mine: Only runs of the person who asks.
        is_waiting: Only live runs that wait for a person, not for a limit to be reset.
        owner: Only runs of people with this name or Slack id; capitals do not matter.
        text: Only runs whose task has these words as they stand here, in any capitals, or whose id
            begins with them.  Each page looks through the next `text_window` runs that the other
            conditions leave.
        since: Only runs that were requested at this time or later.
        until: Only runs that were requested before this time.
    """

    statuses: frozenset[RunStatus] = frozenset()
    workflow: str | None = None
    session_id: UUID | None = None
    is_mine: bool = False
    is_waiting: bool = False
    owner: str | None = None
    text: str | None = None
    text_window: int = TEXT_WINDOW
    repository: str | None = None
    branch: str | None = None
    stop_reason: StopReason | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
