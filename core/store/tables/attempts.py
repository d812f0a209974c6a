"""The tables of attempts: the worker that executes a run and its agent's process; what it used."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.fleet.attempt import AttemptRecord
from core.domain.kills.termination import ProcessIdentity
from core.domain.runs.run import Usage
from core.domain.sessions.ledger import EntrySource, LedgerEntry
from core.store.tables.base import Row, check_in
from core.store.tables.types import COST


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


class LedgerRow(Row):
    """One row of `ledger_entries`; the tokens are all known, or all unknown."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint(check_in("source", EntrySource), name="valid_entry_source"),
        CheckConstraint("(source = 'unknown') = (cost_usd IS NULL)", name="unknown_has_no_cost"),
        CheckConstraint("cost_usd >= 0 AND cost_usd <> 'NaN'", name="valid_entry_cost"),
        CheckConstraint(
            "attempt >= 1 AND turns >= 0 AND input_tokens >= 0 AND output_tokens >= 0"
            " AND cache_read_tokens >= 0 AND cache_creation_tokens >= 0"
            " AND num_nulls(input_tokens, output_tokens, cache_read_tokens,"
            " cache_creation_tokens) IN (0, 4)",
            name="valid_entry",
        ),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"), index=True)
    source: Mapped[str] = mapped_column(String(50))
    cost_usd: Mapped[Decimal | None] = mapped_column(COST)
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_read_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_creation_tokens: Mapped[int | None] = mapped_column(BigInteger)
    turns: Mapped[int]
    recorded_at: Mapped[datetime]

    def to_entry(self) -> LedgerEntry:
        """The domain value."""
        usage = None
        if self.input_tokens is not None:
            usage = Usage(
                input_tokens=self.input_tokens,
                output_tokens=self.output_tokens or 0,
                cache_read_tokens=self.cache_read_tokens or 0,
                cache_creation_tokens=self.cache_creation_tokens or 0,
            )
        return LedgerEntry(
            run_id=self.run_id,
            session_id=self.session_id,
            attempt=self.attempt,
            source=EntrySource(self.source),
            cost_usd=self.cost_usd,
            usage=usage,
            turns=self.turns,
            recorded_at=self.recorded_at,
        )
