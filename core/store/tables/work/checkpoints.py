"""The table of checkpoints."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.runs.checkpoint import Checkpoint, CheckpointDiff, CheckpointReason, NotStored
from core.store.tables.base import Row, check_in
from core.store.tables.types import COST


class CheckpointRow(Row):
    """One row of `checkpoints`; the fields are explained at `Checkpoint`.

    Attributes:
        files_changed: The three numbers of `Checkpoint.diff`; all are `None` if it is unknown.
        bundle: A git bundle of what `previous_id`, or else `base_commit`, lacks; empty if that is
            nothing, `None` if the database does not have it.  It is read only where it is asked
            for.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (
        CheckConstraint(check_in("reason", CheckpointReason), name="valid_checkpoint_reason"),
        CheckConstraint(check_in("not_stored", NotStored), name="valid_not_stored"),
        CheckConstraint(
            "(bundle IS NULL) = (not_stored IS NOT NULL)", name="bundle_or_why_there_is_none"
        ),
        CheckConstraint("number >= 1", name="valid_checkpoint_number"),
        Index("uq_checkpoints_number", "session_id", "number", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), index=True)
    attempt: Mapped[int]
    number: Mapped[int]
    taken_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(50))
    step_id: Mapped[int | None]
    step_name: Mapped[str | None]
    message_uuid: Mapped[UUID | None]
    is_call_open: Mapped[bool] = mapped_column(server_default=text("false"))
    commit: Mapped[str] = mapped_column(String(64))
    head_commit: Mapped[str | None] = mapped_column(String(64))
    base_commit: Mapped[str | None] = mapped_column(String(64))
    branch: Mapped[str | None]
    references: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    turns: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[Decimal | None] = mapped_column(COST)
    tool_calls: Mapped[int] = mapped_column(server_default="0")
    files_changed: Mapped[int | None]
    lines_added: Mapped[int | None]
    lines_removed: Mapped[int | None]
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    previous_id: Mapped[UUID | None] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    not_stored: Mapped[str | None] = mapped_column(String(50))
    bundle: Mapped[bytes | None] = mapped_column(
        LargeBinary, deferred=True, deferred_raiseload=True
    )

    def to_checkpoint(self) -> Checkpoint:
        """The domain value."""
        diff = (
            None
            if self.files_changed is None
            else CheckpointDiff(
                files=self.files_changed,
                added=self.lines_added or 0,
                removed=self.lines_removed or 0,
            )
        )
        return Checkpoint(
            id=self.id,
            run_id=self.run_id,
            session_id=self.session_id,
            attempt=self.attempt,
            number=self.number,
            taken_at=self.taken_at,
            reason=CheckpointReason(self.reason),
            step_id=self.step_id,
            step_name=self.step_name,
            message_uuid=self.message_uuid,
            is_call_open=self.is_call_open,
            commit=self.commit,
            head_commit=self.head_commit,
            base_commit=self.base_commit,
            branch=self.branch,
            references=self.references,
            turns=self.turns,
            cost_usd=self.cost_usd,
            tool_calls=self.tool_calls,
            diff=diff,
            size_bytes=self.size_bytes,
            previous_id=self.previous_id,
            not_stored=None if self.not_stored is None else NotStored(self.not_stored),
        )
