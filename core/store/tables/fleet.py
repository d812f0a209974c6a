"""Tables of the fleet: its workers, messages to them, and its caps."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.fleet.worker_message import MessageOutcome, WorkerMessage
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.isolation import IsolationStatus
from core.store.tables.base import Row, check_in


class WorkerRow(Row):
    """One row of `workers`."""

    __tablename__ = "workers"
    __table_args__ = (
        CheckConstraint(check_in("state", WorkerState), name="valid_worker_state"),
        Index("idx_workers_heartbeat_at", "heartbeat_at"),
        Index("idx_workers_node", "node"),
    )

    worker_id: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str]
    host: Mapped[str]
    slots: Mapped[int]
    state: Mapped[str] = mapped_column(String(50))
    program_version: Mapped[str]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    is_isolated: Mapped[bool | None]
    isolation_detail: Mapped[str | None]

    def to_worker(self, *, live_runs: int = 0) -> WorkerRecord:
        """The domain value."""
        return WorkerRecord(
            worker_id=self.worker_id,
            node=self.node,
            host=self.host,
            slots=self.slots,
            state=WorkerState(self.state),
            program_version=self.program_version,
            started_at=self.started_at,
            heartbeat_at=self.heartbeat_at,
            stopped_at=self.stopped_at,
            isolation=None
            if self.is_isolated is None
            else IsolationStatus(is_active=self.is_isolated, detail=self.isolation_detail or ""),
            live_runs=live_runs,
        )


class WorkerMessageRow(Row):
    """One row of `worker_messages`: a message to one worker about one attempt.

    No constraint lists the kinds, so a new kind needs no migration.  A worker of an older version
    marks it as unknown.
    """

    __tablename__ = "worker_messages"
    __table_args__ = (
        CheckConstraint(check_in("outcome", MessageOutcome), name="valid_message_outcome"),
        Index(
            "idx_worker_messages_unhandled",
            "worker_id",
            "id",
            postgresql_where=text("handled_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    worker_id: Mapped[str]
    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"))
    attempt: Mapped[int]
    kind: Mapped[str] = mapped_column(String(50))
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    created_at: Mapped[datetime]
    handled_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(50))

    def to_message(self, *, run_attempt: int) -> WorkerMessage:
        """The domain value."""
        return WorkerMessage(
            id=self.id,
            worker_id=self.worker_id,
            run_id=self.run_id,
            attempt=self.attempt,
            kind=self.kind,
            created_at=self.created_at,
            payload=self.payload,
            is_superseded=run_attempt != self.attempt,
        )


class CapRow(Row):
    """One row of `fleet_caps`: one cap, the same for every process of the fleet."""

    __tablename__ = "fleet_caps"
    __table_args__ = (CheckConstraint("runs >= 1", name="valid_cap"),)

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    runs: Mapped[int]
    updated_at: Mapped[datetime]
