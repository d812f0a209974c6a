"""The table of terminations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.kills.termination import (
    PHASE_TRANSITIONS,
    CriticalWait,
    Phase,
    ProcessIdentity,
    ProofMethod,
    Termination,
)
from core.store.tables.base import Row, check_in
from core.store.tables.types import Json

FINAL_PHASES = frozenset(phase for phase, targets in PHASE_TRANSITIONS.items() if not targets)
IS_OPEN = text(f"NOT ({check_in('phase', FINAL_PHASES)})")


class TerminationRow(Row):
    """One row of `terminations`."""

    __tablename__ = "terminations"
    __table_args__ = (
        CheckConstraint(check_in("phase", Phase), name="valid_phase"),
        CheckConstraint(check_in("proof_by", ProofMethod), name="valid_proof_by"),
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
    proof_by: Mapped[str | None] = mapped_column(String(50))
    work_saved: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    waited_for: Mapped[list[dict[str, Any]]] = mapped_column(Json, server_default="[]")
    cleanup: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    completed_at: Mapped[datetime | None]

    def to_termination(self) -> Termination:
        """The domain value, with the phases in the order in which they began."""
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
            proof_by=ProofMethod(self.proof_by) if self.proof_by else None,
            work_saved=self.work_saved,
            waited_for=tuple(CriticalWait(**wait) for wait in self.waited_for),
            cleanup=self.cleanup,
            completed_at=self.completed_at,
        )


_PHASE_ORDER = {phase.value: position for position, phase in enumerate(Phase)}
