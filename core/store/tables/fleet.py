"""Tables of the fleet: its workers and its caps."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.fleet.workers import WorkerRecord, WorkerState
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
            live_runs=live_runs,
        )


class CapRow(Row):
    """One row of `fleet_caps`: one cap, the same for every process of the fleet."""

    __tablename__ = "fleet_caps"
    __table_args__ = (CheckConstraint("runs >= 1", name="valid_cap"),)

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    runs: Mapped[int]
    updated_at: Mapped[datetime]
