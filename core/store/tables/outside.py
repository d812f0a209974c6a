"""Tables about the outside: transcripts, what Slack shows, its deliveries, and the audit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.actor import Actor, Origin, Role
from core.domain.audit import AuditEntry
from core.domain.runs.snapshot import (
    SlackMessage,
    SlackMessageState,
    UncertainWrite,
    UncertainWriteKind,
)
from core.store.tables.base import Row, check_in


class TranscriptRow(Row):
    """One line of a transcript.  `id` is the order in which lines were committed.

    Attributes:
        scope: In which the session's id is unique: everywhere (`""`) for a UUID, else its
            project.
        entry: `json`, not `jsonb`: it comes back letter for letter, NULs included.
    """

    __tablename__ = "transcript_entries"
    __table_args__ = (
        Index("idx_transcript_entries_session", "session_id", "scope", "subpath", "id"),
        Index(
            "uq_transcript_entries_uuid",
            "session_id",
            "scope",
            "subpath",
            "entry_uuid",
            unique=True,
            postgresql_where=text("entry_uuid IS NOT NULL"),
        ),
        Index(
            "idx_transcript_entries_project",
            "project_key",
            "session_id",
            postgresql_where=text("subpath = ''"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    scope: Mapped[str]
    session_id: Mapped[str]
    subpath: Mapped[str]
    project_key: Mapped[str]
    entry_uuid: Mapped[str | None]
    entry: Mapped[dict[str, Any]] = mapped_column(JSON)
    # The database's clock: the SDK compares these times with each other only.
    stored_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class SlackMessageRow(Row):
    """One row of `slack_messages`."""

    __tablename__ = "slack_messages"
    __table_args__ = (
        CheckConstraint(check_in("state", SlackMessageState), name="valid_slack_message_state"),
        Index("uq_slack_messages_slot", "thread_key", "slot", unique=True),
        Index("idx_slack_messages_place", "channel_id", "message_ts"),
        Index("idx_slack_messages_gone", "channel_id", postgresql_where=text("state = 'gone'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    thread_key: Mapped[str]
    slot: Mapped[str]
    channel_id: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(50))
    message_ts: Mapped[str | None] = mapped_column(String(32))
    thread_ts: Mapped[str | None] = mapped_column(String(32))
    version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    content_hash: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str | None]
    updated_at: Mapped[datetime]

    def to_slack_message(self) -> SlackMessage:
        """The domain value."""
        return SlackMessage(
            id=self.id,
            thread_key=self.thread_key,
            slot=self.slot,
            channel_id=self.channel_id,
            state=SlackMessageState(self.state),
            message_ts=self.message_ts,
            thread_ts=self.thread_ts,
            version=self.version,
            content_hash=self.content_hash,
            attempts=self.attempts,
            error=self.error,
            updated_at=self.updated_at,
        )


class UncertainWriteRow(Row):
    """One row of `slack_uncertain_writes`."""

    __tablename__ = "slack_uncertain_writes"
    __table_args__ = (
        CheckConstraint(check_in("kind", UncertainWriteKind), name="valid_uncertain_write_kind"),
    )

    thread_key: Mapped[str] = mapped_column(primary_key=True)
    slot: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(50), primary_key=True)
    due_at: Mapped[datetime]

    def to_uncertain_write(self) -> UncertainWrite:
        """The domain value."""
        return UncertainWrite(
            thread_key=self.thread_key,
            slot=self.slot,
            kind=UncertainWriteKind(self.kind),
            due_at=self.due_at,
        )


class DeliveryRow(Row):
    """One row of `slack_deliveries`: a delivery's key for ever, its body until it is done."""

    __tablename__ = "slack_deliveries"
    __table_args__ = (
        Index(
            "idx_slack_deliveries_unfinished",
            "received_at",
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any] | None]
    received_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]


class AuditRow(Row):
    """One row of `audit_log`; a trigger keeps rows from being changed or deleted.

    `run_id` refers to no row: the line outlives what it is about.
    """

    __tablename__ = "audit_log"
    __table_args__ = (Index("idx_audit_log_run_id", "run_id"), Index("idx_audit_log_at", "at"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    action: Mapped[str]
    allowed: Mapped[bool]
    run_id: Mapped[UUID | None]
    reason: Mapped[str | None]
    details: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    actor_role: Mapped[int]
    actor_origin: Mapped[str] = mapped_column(String(50))
    actor_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
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
