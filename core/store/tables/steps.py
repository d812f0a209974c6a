"""The table of steps."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.runs.step import Step, StepStatus
from core.store.tables.base import Row, check_in
from core.store.tables.types import COST, Json


class StepRow(Row):
    """One row of `workflow_steps`."""

    __tablename__ = "workflow_steps"
    __table_args__ = (
        CheckConstraint(check_in("status", StepStatus), name="valid_step_status"),
        CheckConstraint("cost_usd >= 0 AND cost_usd <> 'NaN'", name="valid_step_cost"),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), primary_key=True)
    step_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source_id: Mapped[str | None]
    name: Mapped[str]
    active_name: Mapped[str | None]
    status: Mapped[str] = mapped_column(String(50))
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    result: Mapped[str | None]
    tools_used: Mapped[list[str]] = mapped_column(Json, server_default="[]")
    tool_calls: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[Decimal | None] = mapped_column(COST)
    error: Mapped[str | None]

    def to_step(self) -> Step:
        """The domain value."""
        return Step(
            step_id=self.step_id,
            source_id=self.source_id,
            name=self.name,
            active_name=self.active_name,
            status=StepStatus(self.status),
            started_at=self.started_at,
            completed_at=self.completed_at,
            result=self.result,
            tools_used=tuple(self.tools_used),
            tool_calls=self.tool_calls,
            cost_usd=self.cost_usd,
            error=self.error,
        )
