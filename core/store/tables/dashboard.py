"""The tables of those who use the dashboard."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.sign_in import DashboardSession, Person
from core.store.tables.base import Row

_ONE_PERSON = "(slack_user_id IS NOT NULL) <> (token_id IS NOT NULL)"


class SignInLinkRow(Row):
    """One row of `sign_in_links`."""

    __tablename__ = "sign_in_links"
    __table_args__ = (
        CheckConstraint(_ONE_PERSON, name="link_has_person"),
        Index("ix_sign_in_links_expires_at", "expires_at"),
    )

    # SHA-256 of the link's secret, in hexadecimal.
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    slack_user_id: Mapped[str | None] = mapped_column(String(32))
    token_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_tokens.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    def to_person(self) -> Person:
        """For whom it is."""
        return Person(name=self.name, slack_user_id=self.slack_user_id, token_id=self.token_id)


class DashboardSessionRow(Row):
    """One row of `dashboard_sessions`."""

    __tablename__ = "dashboard_sessions"
    __table_args__ = (
        CheckConstraint(_ONE_PERSON, name="session_has_person"),
        Index("uq_dashboard_sessions_digest", "digest", unique=True),
        Index("ix_dashboard_sessions_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # SHA-256 of the session's secret, in hexadecimal.
    digest: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    slack_user_id: Mapped[str | None] = mapped_column(String(32))
    token_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_tokens.id"))
    browser: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    def to_session(self) -> DashboardSession:
        """The domain value."""
        return DashboardSession(
            id=self.id,
            person=Person(name=self.name, slack_user_id=self.slack_user_id, token_id=self.token_id),
            browser=self.browser,
            address=self.address,
            created_at=self.created_at,
            expires_at=self.expires_at,
            last_used_at=self.last_used_at,
            ended_at=self.ended_at,
        )
