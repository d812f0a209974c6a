"""How long what has happened is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

DAY = timedelta(days=1)


class RetentionKind(StrEnum):
    """What is deleted after a time of its own."""

    EVENTS = "events"
    TRANSCRIPTS = "transcripts"
    AUDIT = "audit"


@dataclass(frozen=True, kw_only=True)
class RetentionPolicy:
    """How long what has happened is kept; `None` is for ever.

    Attributes:
        events: The events of a run, from its end on.  Those of a live run stay.
        transcripts: The conversation of a session, from the end of its last run, or from its last
            entry if that is later.  Until then the session can be continued with it; one with a
            live run keeps it.
        audit: The entries of the audit log, from their time on.
        alerts: Alerts, from their end on.
        digests: Digests, from the end of their period on.
        samples: Samples of what runs and workers use; peaks and totals of runs stay.
    """

    events: timedelta | None = 90 * DAY
    transcripts: timedelta | None = 180 * DAY
    audit: timedelta | None = 730 * DAY
    alerts: timedelta | None = 90 * DAY
    digests: timedelta | None = 365 * DAY
    samples: timedelta | None = 90 * DAY

    def of(self, kind: RetentionKind) -> timedelta | None:
        """How long a kind is kept."""
        return {
            RetentionKind.EVENTS: self.events,
            RetentionKind.TRANSCRIPTS: self.transcripts,
            RetentionKind.AUDIT: self.audit,
        }[kind]


DEFAULT_RETENTION = RetentionPolicy()


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What retention has removed of one kind.

    Attributes:
        rows: Rows that were deleted one by one.
        months: Partitions that were dropped.
        freed_bytes: What these took, and what months that were rewritten took more before.
        moved: Rows that stay, of months that have expired: they were moved to a later month, or
            the month was rewritten with them alone.
    """

    rows: int = 0
    months: int = 0
    freed_bytes: int = 0
    moved: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(
            rows=self.rows + other.rows,
            months=self.months + other.months,
            freed_bytes=self.freed_bytes + other.freed_bytes,
            moved=self.moved + other.moved,
        )
