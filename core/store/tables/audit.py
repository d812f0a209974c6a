"""The table of the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.actor import Actor, Origin, Role
from core.domain.audit import AuditEntry
from core.store.tables.base import Row


class AuditRow(Row):
    """One row of `audit_log`; a trigger prevents changes and deletions.

    `run_id` is not a foreign key, so that entries remain when the run is deleted; neither is
    `actor_user_id`, whose check would lock the people when a month is added or dropped.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("idx_audit_log_run_id", "run_id"),
        Index("idx_audit_log_at", "at"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    action: Mapped[str]
    allowed: Mapped[bool]
    run_id: Mapped[UUID | None]
    reason: Mapped[str | None]
    details: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    actor_role: Mapped[int]
    actor_origin: Mapped[str] = mapped_column(String(50))
    actor_user_id: Mapped[UUID | None] = mapped_column(index=True)
    actor_external_id: Mapped[str | None]
    actor_team_id: Mapped[str | None]
    actor_name: Mapped[str]

    def to_entry(self) -> AuditEntry:
        """The domain value."""
        return AuditEntry(
            at=self.at,
            actor=Actor(
                role=Role(self.actor_role),
                origin=Origin(self.actor_origin),
                user_id=self.actor_user_id,
                external_id=self.actor_external_id,
                team_id=self.actor_team_id,
                name=self.actor_name,
            ),
            action=self.action,
            allowed=self.allowed,
            run_id=self.run_id,
            reason=self.reason,
            details=self.details,
        )
