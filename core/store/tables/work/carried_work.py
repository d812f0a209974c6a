"""The table of carried work."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.runs.work.carried_work import Bundle, CarriedWork
from core.store.tables.base import Row


class CarriedWorkRow(Row):
    """One row of `carried_work`: a git bundle with what a session's repository lacks.

    Attributes:
        commit: The newest commit in the bundle (`Bundle.newest_commit`).
        base_commit: The repository has this commit and its ancestors; `None` if it has nothing.
        references: Full reference name to commit, for every branch and the start of the run.
        bundle_sha256: The digest of `bundle`; `None` of work that an older version stored.
        uncommitted: Whether `commit` is a saved work tree, not a commit of the agent.
    """

    __tablename__ = "carried_work"
    __table_args__ = (Index("idx_carried_work_session", "session_id", "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), index=True)
    attempt: Mapped[int]
    branch: Mapped[str | None]
    base_commit: Mapped[str | None] = mapped_column(String(64))
    commit: Mapped[str] = mapped_column(String(64))
    head_commit: Mapped[str | None] = mapped_column(String(64))
    uncommitted: Mapped[bool]
    references: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    created_at: Mapped[datetime]
    bundle: Mapped[bytes] = mapped_column(LargeBinary)
    bundle_sha256: Mapped[str | None] = mapped_column(String(64))

    def to_carried_work(self) -> CarriedWork:
        """The domain value."""
        return CarriedWork(
            id=self.id,
            session_id=self.session_id,
            run_id=self.run_id,
            attempt=self.attempt,
            bundle=Bundle(
                data=self.bundle,
                branch=self.branch,
                base_commit=self.base_commit,
                head_commit=self.head_commit,
                saved_commit=self.commit if self.uncommitted else None,
                references=self.references,
            ),
            created_at=self.created_at,
        )
