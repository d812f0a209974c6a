"""The table of failed attempts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.failure_cause import FailureCause
from core.domain.failures.advice import Advice
from core.domain.failures.failed_attempt import FailedAttempt, decision_of_json
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryAction
from core.domain.runs.run import StopReason
from core.store.tables.base import Row, check_in


class FailureRow(Row):
    """One row of `failure_analyses`: an attempt that failed."""

    __tablename__ = "failure_analyses"
    __table_args__ = (
        CheckConstraint("attempt >= 1", name="valid_failed_attempt"),
        CheckConstraint(check_in("action", RetryAction), name="valid_action"),
        # What became of retries, to decide on further ones.
        Index(
            "idx_failure_analyses_retries",
            "workflow_name",
            "failure_class",
            text("failed_at DESC"),
            postgresql_where=text(f"action = '{RetryAction.RETRY.value}'"),
        ),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    workflow_name: Mapped[str] = mapped_column(String(100))
    failed_at: Mapped[datetime]
    # Not constrained: a newer version may know more of these, and none is worth losing a failure.
    failure_class: Mapped[str] = mapped_column(String(50))
    stop_reason: Mapped[str] = mapped_column(String(50))
    cause: Mapped[str | None] = mapped_column(String(50))
    subject: Mapped[str | None]
    error: Mapped[str | None]
    evidence: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    advice: Mapped[str] = mapped_column(String(50))
    resets_at: Mapped[datetime | None]
    turns: Mapped[int] = mapped_column(server_default="0")
    action: Mapped[str] = mapped_column(String(50))
    decision: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")

    def to_failed_attempt(self) -> FailedAttempt:
        """The domain value."""
        return FailedAttempt(
            attempt=self.attempt,
            at=self.failed_at,
            failure_class=FailureClass(self.failure_class),
            stop_reason=StopReason(self.stop_reason),
            advice=Advice(self.advice),
            decision=decision_of_json(self.decision),
            cause=FailureCause(self.cause) if self.cause else None,
            subject=self.subject,
            error=self.error,
            evidence=self.evidence,
            resets_at=self.resets_at,
            turns=self.turns,
        )
