"""A line of the audit log: every decision, allowed or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from core.domain.actor import Actor


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """Who asked for what, and whether it was allowed.  Rows are only ever added."""

    at: datetime
    actor: Actor
    action: str
    allowed: bool
    run_id: UUID | None = None
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
