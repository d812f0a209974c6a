"""The table of users."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.actor import User
from core.store.tables.base import Row


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
