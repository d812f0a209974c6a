"""Tables of what happens in a run: its processes, steps, events and terminations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.fleet.attempt import AttemptRecord
from core.domain.kills.termination import (
    PHASE_TRANSITIONS,
    CriticalWait,
    Phase,
    ProcessIdentity,
    Termination,
)
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.step import Step, StepStatus
from core.store.tables.base import Row, check_in
from core.store.tables.runs import COST
from core.store.tables.types import Json

FINAL_PHASES = frozenset(phase for phase, targets in PHASE_TRANSITIONS.items() if not targets)
IS_OPEN = text(f"NOT ({check_in('phase', FINAL_PHASES)})")


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


class StepRow(Row):
    """One row of `workflow_steps`."""

    __tablename__ = "workflow_steps"
    __table_args__ = (CheckConstraint(check_in("status", StepStatus), name="valid_step_status"),)

    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), primary_key=True)
    step_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source_id: Mapped[str | None]
    name: Mapped[str]
    active_name: Mapped[str | None]
    status: Mapped[str] = mapped_column(String(50))
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    result: Mapped[str | None]
    tools_used: Mapped[list[str]] = mapped_column(Json, server_default="[]")
    tool_calls: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[Decimal | None] = mapped_column(COST)
    error: Mapped[str | None]

    def to_step(self) -> Step:
        """The domain value."""
        return Step(
            step_id=self.step_id,
            source_id=self.source_id,
            name=self.name,
            active_name=self.active_name,
            status=StepStatus(self.status),
            started_at=self.started_at,
            completed_at=self.completed_at,
            result=self.result,
            tools_used=tuple(self.tools_used),
            tool_calls=self.tool_calls,
            cost_usd=self.cost_usd,
            error=self.error,
        )


class EventRow(Row):
    """One row of `run_events`; a trigger keeps rows from being changed or deleted."""

    __tablename__ = "run_events"
    __table_args__ = (Index("idx_run_events_run_id", "run_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"))
    attempt: Mapped[int]
    kind: Mapped[str] = mapped_column(String(50))
    at: Mapped[datetime]
    data: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")

    def to_record(self) -> EventRecord:
        """The domain value."""
        return EventRecord(id=self.id, kind=EventKind(self.kind), at=self.at, data=self.data)


class TerminationRow(Row):
    """One row of `terminations`."""

    __tablename__ = "terminations"
    __table_args__ = (
        CheckConstraint(check_in("phase", Phase), name="valid_phase"),
        Index("idx_terminations_run_id", "run_id", "requested_at"),
        Index("idx_terminations_requested_at", "requested_at"),
        Index("uq_terminations_open", "run_id", unique=True, postgresql_where=IS_OPEN),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"))
    phase: Mapped[str] = mapped_column(String(50))
    requested_at: Mapped[datetime]
    requested_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    requested_by_name: Mapped[str | None]
    requested_from: Mapped[str] = mapped_column(String(50))
    reason: Mapped[str | None]
    force: Mapped[bool]
    phases: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    processes_seen: Mapped[int] = mapped_column(server_default="0")
    survivors: Mapped[list[dict[str, Any]]] = mapped_column(Json, server_default="[]")
    work_saved: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    waited_for: Mapped[list[dict[str, Any]]] = mapped_column(Json, server_default="[]")
    cleanup: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    completed_at: Mapped[datetime | None]

    def to_termination(self) -> Termination:
        """The domain value, its phases in the order in which they began."""
        phase_starts = sorted(
            self.phases.items(),
            key=lambda item: (item[1], item[0] == self.phase, _PHASE_ORDER[item[0]]),
        )
        return Termination(
            id=self.id,
            run_id=self.run_id,
            phase=Phase(self.phase),
            requested_at=self.requested_at,
            requested_by=self.requested_by,
            requested_by_name=self.requested_by_name,
            requested_from=self.requested_from,
            reason=self.reason,
            force=self.force,
            phases={Phase(name): milliseconds for name, milliseconds in phase_starts},
            processes_seen=self.processes_seen,
            survivors=tuple(ProcessIdentity(**survivor) for survivor in self.survivors),
            work_saved=self.work_saved,
            waited_for=tuple(CriticalWait(**one) for one in self.waited_for),
            cleanup=self.cleanup,
            completed_at=self.completed_at,
        )


_PHASE_ORDER = {phase.value: position for position, phase in enumerate(Phase)}
