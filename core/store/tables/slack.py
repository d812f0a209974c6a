"""Tables of Slack: shown messages, uncertain writes, and deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.drawables import (
    SlackHealth,
    SlackMessage,
    SlackMessageState,
    UncertainWrite,
    UncertainWriteKind,
)
from core.store.tables.base import Row, check_in
from core.store.tables.types import Json


class SlackMessageRow(Row):
    """One row of `slack_messages`."""

    __tablename__ = "slack_messages"
    __table_args__ = (
        CheckConstraint(check_in("state", SlackMessageState), name="valid_slack_message_state"),
        Index("uq_slack_messages_slot", "drawable_kind", "thread_key", "slot", unique=True),
        Index("idx_slack_messages_place", "channel_id", "message_ts"),
        Index("idx_slack_messages_gone", "channel_id", postgresql_where=text("state = 'gone'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    drawable_kind: Mapped[str] = mapped_column(String(50), server_default="thread")
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
            drawable_kind=self.drawable_kind,
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

    drawable_kind: Mapped[str] = mapped_column(
        String(50), primary_key=True, server_default="thread"
    )
    thread_key: Mapped[str] = mapped_column(primary_key=True)
    slot: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(50), primary_key=True)
    due_at: Mapped[datetime]

    def to_uncertain_write(self) -> UncertainWrite:
        """The domain value."""
        return UncertainWrite(
            drawable_kind=self.drawable_kind,
            thread_key=self.thread_key,
            slot=self.slot,
            kind=UncertainWriteKind(self.kind),
            due_at=self.due_at,
        )


class SlackHealthRow(Row):
    """One row of `slack_health`: what the bot that draws knows of its own delay."""

    __tablename__ = "slack_health"

    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]
    outdated: Mapped[int] = mapped_column(server_default="0")
    oldest_at: Mapped[datetime | None]
    refused: Mapped[int] = mapped_column(server_default="0")
    limited: Mapped[list[str]] = mapped_column(Json, server_default="[]")

    def to_health(self) -> SlackHealth:
        """The domain value."""
        return SlackHealth(
            team_id=self.team_id,
            at=self.at,
            outdated=self.outdated,
            oldest_at=self.oldest_at,
            refused=self.refused,
            limited=tuple(self.limited),
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
