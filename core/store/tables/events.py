"""The table of events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.runs.event import EventKind, EventRecord
from core.store.tables.base import Row


class EventRow(Row):
    """One row of `run_events`; a trigger prevents changes and deletions.

    `run_id` is not a foreign key, whose check would lock the table of runs when a month is added
    or dropped.  A statement that adds an event holds the lock on the run's row.
    """

    __tablename__ = "run_events"
    __table_args__ = (
        Index("idx_run_events_run_id", "run_id", "id"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    run_id: Mapped[UUID]
    attempt: Mapped[int]
    kind: Mapped[str] = mapped_column(String(50))
    at: Mapped[datetime] = mapped_column(primary_key=True)
    data: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")

    def to_record(self) -> EventRecord:
        """The domain value."""
        return EventRecord(id=self.id, kind=EventKind(self.kind), at=self.at, data=self.data)
