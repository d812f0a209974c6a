"""The table of attempts: the worker that executes a run, and its agent's process."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.fleet.attempt import AttemptRecord
from core.domain.kills.termination import ProcessIdentity
from core.store.tables.base import Row


class AttemptRow(Row):
    """One row of `workflow_processes`."""

    __tablename__ = "workflow_processes"
    __table_args__ = (
        Index("uq_workflow_processes_attempt", "run_id", "attempt", unique=True),
        Index(
            "idx_workflow_processes_worker_id",
            "worker_id",
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("idx_workflow_processes_host", "host", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"))
    attempt: Mapped[int]
    worker_id: Mapped[str]
    host: Mapped[str]
    agent_pid: Mapped[int | None]
    agent_started_ticks: Mapped[int | None] = mapped_column(BigInteger)
    agent_name: Mapped[str | None]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    gone_at: Mapped[datetime | None]

    def to_attempt(self) -> AttemptRecord:
        """The domain value."""
        agent = None
        if self.agent_pid is not None and self.agent_started_ticks is not None:
            agent = ProcessIdentity(
                pid=self.agent_pid,
                started_ticks=self.agent_started_ticks,
                name=self.agent_name or "",
            )
        return AttemptRecord(
            id=self.id,
            run_id=self.run_id,
            attempt=self.attempt,
            worker_id=self.worker_id,
            host=self.host,
            agent=agent,
            started_at=self.started_at,
            heartbeat_at=self.heartbeat_at,
            ended_at=self.ended_at,
            gone_at=self.gone_at,
        )
