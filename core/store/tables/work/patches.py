"""The table of changed lines."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from core.store.tables.base import Row


class RunPatchRow(Row):
    """One row of `run_patches`: what a run changed, as a compressed unified diff.

    Attributes:
        content: UTF-8, compressed by zlib.
        size: Its bytes before that.
        is_cut: Whether only the beginning was kept.
    """

    __tablename__ = "run_patches"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]
    is_cut: Mapped[bool]
    created_at: Mapped[datetime]
