"""Tables of people and their words: users, sessions, messages.

The models never leave `core.store`; each turns into its domain value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.domain.actor import User
from core.domain.runs.session import Message, MessageRole, MessageType, Session
from core.store.tables.types import AwareDateTime, Json, SafeText


class Row(DeclarativeBase):
    """Base of all models."""

    metadata = MetaData(
        naming_convention={
            "ix": "idx_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain dict
        str: SafeText,
        datetime: AwareDateTime,
        UUID: Uuid(),
        dict[str, Any]: Json,
        Mapping[str, Any]: Json,
    }


def check_in(column: str, values: Iterable[StrEnum]) -> str:
    """SQL: the column holds one of these words."""
    return f"{column} IN ({quoted(values)})"


def quoted(values: Iterable[StrEnum]) -> str:
    """The words as a list of SQL literals, in one order at all times."""
    return ", ".join(f"'{word.value}'" for word in sorted(values))


class UserRow(Row):
    """One row of `users`."""

    __tablename__ = "users"
    __table_args__ = (Index("uq_users_slack", "slack_team_id", "slack_user_id", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    slack_team_id: Mapped[str | None] = mapped_column(String(32))
    slack_user_id: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    def to_user(self) -> User:
        """The domain value."""
        return User(
            id=self.id,
            name=self.name,
            slack_team_id=self.slack_team_id,
            slack_user_id=self.slack_user_id,
        )


class SessionRow(Row):
    """One row of `sessions`."""

    __tablename__ = "sessions"
    __table_args__ = (Index("idx_sessions_name", "name", "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_name: Mapped[str]
    name: Mapped[str | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    git_repo: Mapped[str | None]
    git_branch: Mapped[str | None]
    workspace_id: Mapped[str | None]
    workspace_node: Mapped[str | None]
    created_at: Mapped[datetime]

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
        )


class MessageRow(Row):
    """One row of `messages`."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint(check_in("role", MessageRole), name="valid_role"),
        CheckConstraint(check_in("message_type", MessageType), name="valid_message_type"),
        Index("idx_messages_session_id", "session_id", "created_at"),
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
