"""An entry of the audit log, which has every decision, allowed or denied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from core.domain.actor import Actor


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """A request of an actor and the decision on it.  Entries are never changed or deleted.

    Attributes:
        action: What was requested, as a word (`kill`).
        reason: Why it was denied, or the reason that the person gave for a kill.
        details: Further facts, as JSON.
    """

    at: datetime
    actor: Actor
    action: str
    allowed: bool
    run_id: UUID | None = None
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StoredAuditEntry:
    """An entry as it is stored; the ids increase."""

    id: int
    entry: AuditEntry
