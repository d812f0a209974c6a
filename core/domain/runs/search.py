"""What a list of runs is restricted to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.domain.runs.outcome import Outcome
from core.domain.runs.run import RunStatus, StopReason


@dataclass(frozen=True, kw_only=True)
class RunSearch:
    """Conditions that all hold; `None`, `False` and an empty set restrict nothing.

    Attributes:
        is_mine: Only runs of the person who asks.
        since: Only runs that were requested at this time or later.
        until: Only runs that were requested before this time.
    """

    statuses: frozenset[RunStatus] = frozenset()
    workflow: str | None = None
    session_id: UUID | None = None
    is_mine: bool = False
    repository: str | None = None
    branch: str | None = None
    stop_reason: StopReason | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
