"""The tables of sessions, their messages, and their transcripts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.runs.session import Message, MessageRole, MessageType, Session
from core.store.tables.base import Row, check_in


class SessionRow(Row):
    """One row of `sessions`."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("(name IS NULL) = (name_key IS NULL)", name="name_has_key"),
        Index(
            "idx_sessions_name_key",
            "name_key",
            "created_at",
            postgresql_where=text("name_key IS NOT NULL"),
        ),
        # An open session holds its name among those of its owner.
        Index(
            "uq_sessions_open_name",
            "user_id",
            "name_key",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("name_key IS NOT NULL AND closed_at IS NULL"),
        ),
        Index("idx_sessions_created_at", text("created_at DESC"), "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_name: Mapped[str]
    name: Mapped[str | None]
    # What equal names have in common, see `session_name_key`.
    name_key: Mapped[str | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    git_repo: Mapped[str | None]
    git_branch: Mapped[str | None]
    workspace_id: Mapped[str | None]
    workspace_node: Mapped[str | None]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]

    def to_session(self) -> Session:
        """The domain value."""
        return Session(
            id=self.id,
            agent_name=self.agent_name,
            name=self.name,
            user_id=self.user_id,
            git_repo=self.git_repo,
            git_branch=self.git_branch,
            workspace_id=self.workspace_id,
            workspace_node=self.workspace_node,
            created_at=self.created_at,
            closed_at=self.closed_at,
        )


class MessageRow(Row):
    """One row of `messages`."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint(check_in("role", MessageRole), name="valid_role"),
        CheckConstraint(check_in("message_type", MessageType), name="valid_message_type"),
        Index("idx_messages_session_id", "session_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("workflow_runs.id"), index=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    role: Mapped[str] = mapped_column(String(50))
    message_type: Mapped[str] = mapped_column(String(50))
    text_content: Mapped[str]
    metadata_: Mapped[Mapping[str, Any]] = mapped_column("metadata", server_default="{}")
    created_at: Mapped[datetime]

    def to_message(self) -> Message:
        """The domain value."""
        return Message(
            id=self.id,
            session_id=self.session_id,
            run_id=self.run_id,
            user_id=self.user_id,
            role=MessageRole(self.role),
            message_type=MessageType(self.message_type),
            text_content=self.text_content,
            metadata=self.metadata_,
            created_at=self.created_at,
        )


class TranscriptRow(Row):
    """One entry of a transcript.  The ids are in the order of the commits.

    Within a session, scope and subpath no two entries have the same `entry_uuid`: a writer
    of entries holds the session's lock and looks first.

    Attributes:
        scope: Where the session's id is unique: everywhere (`""`) if it is a UUID, otherwise in
            its project.
        entry: Of type `json`, which unlike `jsonb` returns the exact text, including NULs.
    """

    __tablename__ = "transcript_entries"
    __table_args__ = (
        Index("idx_transcript_entries_session", "session_id", "scope", "subpath", "id"),
        Index(
            "idx_transcript_entries_uuid",
            "session_id",
            "scope",
            "subpath",
            "entry_uuid",
            postgresql_where=text("entry_uuid IS NOT NULL"),
        ),
        Index(
            "idx_transcript_entries_project",
            "project_key",
            "session_id",
            postgresql_where=text("subpath = ''"),
        ),
        {"postgresql_partition_by": "RANGE (stored_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    scope: Mapped[str]
    session_id: Mapped[str]
    subpath: Mapped[str]
    project_key: Mapped[str]
    entry_uuid: Mapped[str | None]
    entry: Mapped[dict[str, Any]] = mapped_column(JSON)
    # By the database's clock; the SDK compares these times only with each other.
    stored_at: Mapped[datetime] = mapped_column(
        primary_key=True, server_default=text("clock_timestamp()")
    )
