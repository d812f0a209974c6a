"""Progress posts: what a long run has done, told in its thread at intervals by one message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class ProgressPost:
    """One row of `run_progress_posts`.

    Attributes:
        due_at: When it is taken next; `None` once the run has ended.
        taken_at: When the figures were taken; `None` before the first time.
        count: How often it was taken.
        figures: What was done by then, as JSON.
    """

    run_id: UUID
    every: timedelta
    due_at: datetime | None
    taken_at: datetime | None = None
    count: int = 0
    figures: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
