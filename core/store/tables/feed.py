"""The table of the feed of changes.  Triggers write it, in the transaction of each change."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from core.domain.feed import ChangeKind
from core.store.tables.base import Row, check_in


class TransactionId(UserDefinedType[int]):
    """`xid8`: a transaction's number, which is never used twice in a cluster."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in SQL."""
        return "XID8"


class ChangeRow(Row):
    """One row of `changes`.

    Attributes:
        number: Rising within a transaction; between transactions only `transaction` orders.
        at: When the transaction began.
    """

    __tablename__ = "changes"
    __table_args__ = (
        CheckConstraint(check_in("kind", ChangeKind), name="valid_change_kind"),
        # Rows come in the order of time: a few pages serve retention.
        Index("idx_changes_at", "at", postgresql_using="brin"),
    )

    transaction: Mapped[int] = mapped_column(
        TransactionId(), primary_key=True, server_default=text("pg_current_xact_id()")
    )
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    kind: Mapped[str] = mapped_column(String(50))
    subject: Mapped[str]
    what: Mapped[str]
