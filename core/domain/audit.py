"""An entry of the audit log, which has every decision, allowed or denied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


# No index serves the person, the action and the decision, which each entry would have to keep.
AUDIT_WINDOW = 20_000


@dataclass(frozen=True, kw_only=True)
class AuditSearch:
    """Conditions that all hold; `None` restricts nothing.

    Attributes:
        run: A run's id, or a unique prefix of it.
        person: The name of somebody, in any capitals, or their id where they came from.
        since: Only entries of this time or later.
        until: Only entries before this time.
        window: Through how many entries of the time and the run each page looks for the others.
    """

    run: str | None = None
    person: str | None = None
    action: str | None = None
    allowed: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    window: int = AUDIT_WINDOW


@dataclass(frozen=True, kw_only=True)
class AuditPage:
    """A part of the audit log, newest first.

    Attributes:
        next: The id below which further entries may be; `None` if there are none.
        run_ids: What people call the runs of the entries, by the ids of their rows; deleted ones
            are missing.
    """

    entries: Sequence[StoredAuditEntry]
    next: int | None
    run_ids: Mapping[UUID, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StoredAuditEntry:
    """An entry as it is stored; the ids increase."""

    id: int
    entry: AuditEntry
