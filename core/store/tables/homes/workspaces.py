"""Tables of workspaces and of the disks they are on."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.workspaces.policy import DiskRoom
from core.domain.workspaces.record import HomeDisk, RemovalWhy, WorkspaceRow, WorkspaceState
from core.domain.workspaces.stay import Stay, StayReason
from core.store.tables.base import Row, check_in


class WorkspaceTableRow(Row):
    """One row of `workspaces`; see `WorkspaceRow`."""

    __tablename__ = "workspaces"
    __table_args__ = (
        CheckConstraint(check_in("state", WorkspaceState), name="valid_workspace_state"),
        Index(
            "idx_workspaces_requested",
            "disk_id",
            postgresql_where=text("requested_at IS NOT NULL"),
        ),
    )

    disk_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id"), index=True)
    repo: Mapped[str | None]
    state: Mapped[str] = mapped_column(String(50))
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    used_at: Mapped[datetime]
    stay_reason: Mapped[str | None] = mapped_column(String(50))
    stay_names: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'"))
    stay_count: Mapped[int] = mapped_column(server_default=text("0"))
    is_removable: Mapped[bool] = mapped_column(server_default=text("false"))
    examined_at: Mapped[datetime | None]
    removal_why: Mapped[str | None] = mapped_column(String(50))
    removed_at: Mapped[datetime | None]
    reclaimed_bytes: Mapped[int | None] = mapped_column(BigInteger)
    requested_at: Mapped[datetime | None]
    requested_by: Mapped[str | None]
    reported_at: Mapped[datetime]

    def to_workspace(self) -> WorkspaceRow:
        """The domain value."""
        known = self.stay_reason in {one.value for one in StayReason}
        return WorkspaceRow(
            disk_id=self.disk_id,
            workspace_id=self.workspace_id,
            session_id=self.session_id,
            repo=self.repo,
            state=WorkspaceState(self.state),
            bytes=self.bytes,
            used_at=self.used_at,
            stay=None
            if self.stay_reason is None
            else Stay(
                # A newer version may know more of them.
                reason=StayReason(self.stay_reason) if known else StayReason.FAILED,
                names=tuple(str(name) for name in self.stay_names),
                count=self.stay_count,
            ),
            is_removable=self.is_removable,
            examined_at=self.examined_at,
            removal_why=None if self.removal_why is None else RemovalWhy(self.removal_why),
            removed_at=self.removed_at,
            reclaimed_bytes=self.reclaimed_bytes,
            requested_at=self.requested_at,
            requested_by=self.requested_by,
            reported_at=self.reported_at,
        )


class HomeDiskRow(Row):
    """One row of `home_disks`; see `HomeDisk`."""

    __tablename__ = "home_disks"

    disk_id: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str]
    machine: Mapped[str]
    total_bytes: Mapped[int] = mapped_column(BigInteger)
    free_bytes: Mapped[int] = mapped_column(BigInteger)
    used_bytes: Mapped[int] = mapped_column(BigInteger)
    removable_bytes: Mapped[int] = mapped_column(BigInteger)
    min_free_bytes: Mapped[int] = mapped_column(BigInteger)
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    reported_at: Mapped[datetime]
    pass_requested_at: Mapped[datetime | None]
    pass_started_at: Mapped[datetime | None]
    pass_ended_at: Mapped[datetime | None]
    pass_removed: Mapped[int] = mapped_column(server_default=text("0"))
    pass_reclaimed_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    def to_disk(self) -> HomeDisk:
        """The domain value."""
        return HomeDisk(
            disk_id=self.disk_id,
            node=self.node,
            machine=self.machine,
            room=DiskRoom(
                total_bytes=self.total_bytes,
                free_bytes=self.free_bytes,
                used_bytes=self.used_bytes,
            ),
            removable_bytes=self.removable_bytes,
            min_free_bytes=self.min_free_bytes,
            max_bytes=self.max_bytes,
            reported_at=self.reported_at,
            pass_requested_at=self.pass_requested_at,
            pass_started_at=self.pass_started_at,
            pass_ended_at=self.pass_ended_at,
            pass_removed=self.pass_removed,
            pass_reclaimed_bytes=self.pass_reclaimed_bytes,
        )
