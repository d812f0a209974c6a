"""The table of API tokens."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.actor import Role
from core.domain.token import ApiToken
from core.store.tables.base import Row

IS_VALID_NAME = text("revoked_at IS NULL")


class TokenRow(Row):
    """One row of `api_tokens`."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        CheckConstraint("role BETWEEN 1 AND 4", name="valid_token_role"),
        CheckConstraint(
            "(slack_user_id IS NOT NULL) <> (user_id IS NOT NULL)"
            " AND (role IS NOT NULL OR slack_user_id IS NOT NULL)",
            name="token_has_rights",
        ),
        Index("uq_api_tokens_digest", "digest", unique=True),
        Index("uq_api_tokens_name", "name", unique=True, postgresql_where=IS_VALID_NAME),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    # SHA-256 of the token, in hexadecimal.
    digest: Mapped[str] = mapped_column(String(64))
    role: Mapped[int | None]
    slack_user_id: Mapped[str | None] = mapped_column(String(32))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    def to_token(self) -> ApiToken:
        """The domain value."""
        return ApiToken(
            id=self.id,
            name=self.name,
            role=None if self.role is None else Role(self.role),
            slack_user_id=self.slack_user_id,
            user_id=self.user_id,
            created_at=self.created_at,
            expires_at=self.expires_at,
            revoked_at=self.revoked_at,
            last_used_at=self.last_used_at,
        )
