"""The tables of the history of runs by day; triggers mark the days that have changed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Date, Identity, Index, Numeric, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.store.tables.base import Row

# A day's cost may be larger than that of a run.
_SUM = Numeric(18, 7)


class AnalyticsDayRow(Row):
    """One row of `analytics_days`: what ended on one day, in UTC, and the kills requested then.

    Attributes:
        grain: What is not told apart, as Postgres's `GROUPING(workflow_name, repository, person)`
            counts it.  The same runs are counted once in each grain.
        repository: Empty without one; `person` is the zero UUID then.
        duration_histogram: As `core.domain.analytics.histogram` describes it, of seconds.
        kill_histogram: The same of milliseconds.
    """

    __tablename__ = "analytics_days"
    __table_args__ = (
        # Of the grain that tells everything apart, for questions about one of many.
        Index(
            "idx_analytics_days_workflow",
            "workflow_name",
            "day",
            postgresql_where=text("grain = 0"),
        ),
        Index(
            "idx_analytics_days_repository",
            "repository",
            "day",
            postgresql_where=text("grain = 0"),
        ),
        Index("idx_analytics_days_person", "person", "day", postgresql_where=text("grain = 0")),
    )

    grain: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    workflow_name: Mapped[str] = mapped_column(String(100), primary_key=True)
    repository: Mapped[str] = mapped_column(String(500), primary_key=True)
    person: Mapped[UUID] = mapped_column(primary_key=True)
    completed: Mapped[int]
    attention: Mapped[int]
    failed: Mapped[int]
    killed: Mapped[int]
    reason_success: Mapped[int]
    reason_max_turns: Mapped[int]
    reason_budget: Mapped[int]
    reason_timeout: Mapped[int]
    reason_killed: Mapped[int]
    reason_usage_limit: Mapped[int]
    reason_api_error: Mapped[int]
    reason_agent_error: Mapped[int]
    reason_no_result: Mapped[int]
    reason_worker_lost: Mapped[int]
    reason_workspace_error: Mapped[int]
    reason_setup_error: Mapped[int]
    durations: Mapped[int]
    duration_seconds: Mapped[int] = mapped_column(BigInteger)
    duration_histogram: Mapped[Decimal] = mapped_column(Numeric)
    reported_usd: Mapped[Decimal] = mapped_column(_SUM)
    reported_runs: Mapped[int]
    estimated_usd: Mapped[Decimal] = mapped_column(_SUM)
    estimated_runs: Mapped[int]
    unknown_runs: Mapped[int]
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_creation_tokens: Mapped[int] = mapped_column(BigInteger)
    unknown_usage: Mapped[int]
    turns: Mapped[int] = mapped_column(BigInteger)
    tool_calls: Mapped[int] = mapped_column(BigInteger)
    kills: Mapped[int]
    kills_confirmed: Mapped[int]
    kills_unconfirmed: Mapped[int]
    kill_times: Mapped[int]
    kill_milliseconds: Mapped[int] = mapped_column(BigInteger)
    kill_histogram: Mapped[Decimal] = mapped_column(Numeric)


class AnalyticsMarkRow(Row):
    """One row of `analytics_marks`: something of this day has changed since it was computed.

    A day may be marked any number of times: writers add rows, and never wait for each other.
    """

    __tablename__ = "analytics_marks"
    __table_args__ = (Index("idx_analytics_marks_day", "day"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    day: Mapped[date] = mapped_column(Date)
