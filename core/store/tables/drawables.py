"""The table of what is drawn in Slack.  A trigger keeps the rows of runs' threads."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Computed, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.drawables import Drawable, DrawableId, DrawablePlace
from core.store.tables.base import Row

_IS_OPEN = "is_live OR drawn_version < desired_version"


class DrawableRow(Row):
    """One row of `drawables`.

    Attributes:
        is_live: Whether it showed something that still goes on when it was last drawn.
        is_open: Whether it is drawn now and then.  The index of these is touched when that
            changes, not with each version.
    """

    __tablename__ = "drawables"
    __table_args__ = (
        Index("idx_drawables_open", "team_id", postgresql_where=text("is_open")),
        Index(
            "idx_drawables_active",
            "team_id",
            "kind",
            postgresql_where=text("active_until IS NOT NULL"),
        ),
    )

    kind: Mapped[str] = mapped_column(String(50), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(String(32))
    channel_id: Mapped[str | None] = mapped_column(String(32))
    user_id: Mapped[str | None] = mapped_column(String(32))
    desired_version: Mapped[int] = mapped_column(BigInteger)
    drawn_version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    is_live: Mapped[bool] = mapped_column(server_default=text("true"))
    is_open: Mapped[bool] = mapped_column(Computed(_IS_OPEN, persisted=True))
    active_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    def to_drawable(self) -> Drawable:
        """The domain value, without what is shown."""
        return Drawable(
            id=DrawableId(self.kind, self.key),
            place=DrawablePlace(
                team_id=self.team_id, channel_id=self.channel_id, user_id=self.user_id
            ),
            desired_version=self.desired_version,
            drawn_version=self.drawn_version,
            is_live=self.is_live,
            active_until=self.active_until,
        )
