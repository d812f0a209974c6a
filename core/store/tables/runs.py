"""The tables of runs, of the definitions that they used, and of answers about them.

`core.store.runs.columns` converts between rows and `Run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    String,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.fleet.workers import QueueReason
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import LIVE_STATUSES, CostSource, RunStatus, StopReason, WaitingOn
from core.domain.workflow import OnWorkerLost
from core.store.tables.base import Row, check_in
from core.store.tables.types import COST, Json


class RunRow(Row):
    """One row of `workflow_runs`."""

    __tablename__ = "workflow_runs"
    __table_args__ = (
        CheckConstraint(check_in("status", RunStatus), name="valid_status"),
        CheckConstraint("duration_seconds IS NULL OR duration_seconds >= 0", name="valid_duration"),
        CheckConstraint(
            "input_tokens >= 0 AND output_tokens >= 0 AND total_tokens >= 0"
            " AND cache_read_tokens >= 0 AND cache_creation_tokens >= 0",
            name="valid_tokens",
        ),
        CheckConstraint(check_in("stop_reason", StopReason), name="valid_stop_reason"),
        CheckConstraint(check_in("waiting_on", WaitingOn), name="valid_waiting_on"),
        CheckConstraint(check_in("cost_source", CostSource), name="valid_cost_source"),
        CheckConstraint("cost_estimate >= 0 AND cost_estimate <> 'NaN'", name="valid_cost"),
        CheckConstraint("attempt >= 1 AND version >= 1", name="valid_attempt"),
        CheckConstraint(check_in("on_worker_lost", OnWorkerLost), name="valid_on_worker_lost"),
        CheckConstraint(check_in("queue_reason", QueueReason), name="valid_queue_reason"),
        CheckConstraint(check_in("outcome", Outcome), name="valid_outcome"),
        CheckConstraint(
            "(outcome IS NULL OR status = 'completed')"
            " AND (outcome IS NOT DISTINCT FROM 'attention') = (outcome_reasons <> '[]')",
            name="outcome_has_reasons",
        ),
        Index("idx_workflow_runs_run_id_unique", "run_id", unique=True),
        Index("idx_workflow_runs_session_id", "session_id", "created_at"),
        Index("idx_workflow_runs_status", "status", text("created_at DESC")),
        Index(
            "idx_workflow_runs_workflow_name",
            "workflow_name",
            text("created_at DESC"),
            postgresql_include=["id", "status", "stop_reason", "outcome"],
        ),
        Index("idx_workflow_runs_created_at", text("created_at DESC")),
        # One for each filter of the list of runs, in its order.  With the values of other filters:
        # several together are counted, and a page of them is found, without the rows of others.
        Index(
            "idx_workflow_runs_user_id",
            "user_id",
            text("created_at DESC"),
            postgresql_include=["id", "workflow_name", "status", "stop_reason", "outcome"],
        ),
        Index(
            "idx_workflow_runs_git_repo",
            "git_repo",
            text("created_at DESC"),
            postgresql_include=["id", "workflow_name", "status", "stop_reason", "outcome",
                                "user_id"],
        ),
        Index("idx_workflow_runs_git_branch", "git_branch", text("created_at DESC")),
        Index(
            "idx_workflow_runs_stop_reason",
            "stop_reason",
            text("created_at DESC"),
            postgresql_include=["id", "status", "outcome"],
        ),
        Index(
            "idx_workflow_runs_outcome",
            "outcome",
            text("created_at DESC"),
            postgresql_include=["id", "status", "stop_reason"],
        ),
        Index("idx_workflow_runs_workspace_id", "workspace_id"),
        Index("idx_workflow_runs_metadata_gin", "metadata", postgresql_using="gin"),
        Index("idx_workflow_runs_git_diff_stats_gin", "git_diff_stats", postgresql_using="gin"),
        Index("idx_workflow_runs_thread_key", "thread_key"),
        Index(
            "idx_workflow_runs_work_due_at",
            "work_due_at",
            postgresql_where=text("work_due_at IS NOT NULL"),
        ),
        Index("uq_workflow_runs_request_key", "request_key", unique=True),
        Index(
            "uq_workflow_runs_live_session",
            "session_id",
            unique=True,
            postgresql_where=text(check_in("status", LIVE_STATUSES)),
        ),
        # The runs that the admission reads: pending and running ones.
        Index(
            "idx_workflow_runs_live",
            text("priority DESC"),
            "created_at",
            postgresql_where=text(check_in("status", LIVE_STATUSES)),
        ),
        # What ended in a period, for digests.
        Index(
            "idx_workflow_runs_completed_at",
            "completed_at",
            postgresql_where=text("completed_at IS NOT NULL"),
        ),
        # Live runs, and those that ended in the last seconds.
        Index(
            "idx_workflow_runs_unevaluated",
            "created_at",
            postgresql_where=text("NOT is_end_evaluated"),
        ),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    # In byte order, so that the unique index also serves queries by prefix.
    run_id: Mapped[str] = mapped_column(String(255, collation="C"))
    workflow_name: Mapped[str] = mapped_column(String(100))
    agent_type: Mapped[str | None] = mapped_column(String(100))
    ai_model: Mapped[str | None] = mapped_column(String(100))
    task_input: Mapped[str]
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    session_name: Mapped[str | None] = mapped_column(String(255))
    git_repo: Mapped[str | None] = mapped_column(String(500))
    git_branch: Mapped[str | None]
    initial_commit_hash: Mapped[str | None] = mapped_column(String(64))
    final_commit_hash: Mapped[str | None] = mapped_column(String(64))
    git_diff_added_lines: Mapped[int | None]
    git_diff_removed_lines: Mapped[int | None]
    git_diff_files_changed: Mapped[int | None]
    git_diff_stats: Mapped[dict[str, Any] | None] = mapped_column(server_default="{}")
    initial_branches: Mapped[dict[str, Any] | None]
    changes_unknown: Mapped[str | None]
    work_due_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(String(50), server_default=RunStatus.PENDING.value)
    result: Mapped[str | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]
    duration_seconds: Mapped[int | None]
    workspace_id: Mapped[str | None] = mapped_column(String(255))
    workspace_persistent: Mapped[bool] = mapped_column(server_default=text("true"))
    workspace_cleaned_up: Mapped[bool] = mapped_column(server_default=text("false"))
    workspace_path: Mapped[str | None] = mapped_column(String(500))
    cost_estimate: Mapped[Decimal | None] = mapped_column(COST)
    cost_source: Mapped[str | None] = mapped_column(String(50))
    input_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    output_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    total_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_creation_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    metadata_: Mapped[Mapping[str, Any]] = mapped_column("metadata", server_default="{}")
    stop_reason: Mapped[str | None] = mapped_column(String(50))
    waiting_on: Mapped[str | None] = mapped_column(String(50))
    turns: Mapped[int] = mapped_column(server_default="0")
    max_turns: Mapped[int | None]
    budget_usd: Mapped[Decimal | None] = mapped_column(COST)
    timeout_seconds: Mapped[Decimal | None] = mapped_column(Numeric(12, 3))
    tool_calls: Mapped[int] = mapped_column(server_default="0")
    tools_used: Mapped[list[str]] = mapped_column(Json, server_default="[]")
    parent_run_id: Mapped[UUID | None] = mapped_column(ForeignKey("workflow_runs.id"), index=True)
    restarted_from_checkpoint_id: Mapped[UUID | None]
    attempt: Mapped[int] = mapped_column(server_default="1")
    priority: Mapped[int] = mapped_column(server_default="0")
    kill_requested_at: Mapped[datetime | None]
    last_activity_at: Mapped[datetime | None]
    last_activity: Mapped[str | None]
    worker_id: Mapped[str | None]
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")
    slack_team_id: Mapped[str | None] = mapped_column(String(32))
    slack_channel_id: Mapped[str | None] = mapped_column(String(32))
    thread_key: Mapped[str | None] = mapped_column(String(255))
    request_key: Mapped[str | None] = mapped_column(String(255))
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    on_worker_lost: Mapped[str] = mapped_column(
        String(50), server_default=OnWorkerLost.RESUME.value
    )
    queue_reason: Mapped[str | None] = mapped_column(String(50))
    # Until then a pending run waits to be tried again; cleared when it is admitted.
    retry_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(50))
    outcome_reasons: Mapped[list[str]] = mapped_column(Json, server_default="[]")
    # Whether alerts, totals and trends have taken in how it ended.
    is_end_evaluated: Mapped[bool] = mapped_column(server_default=text("false"))


class StatusAnswerRow(Row):
    """One row of `status_answers`: what a surface answered about an ended run.

    Attributes:
        version: Of the run's row that it was made of, as is `written_by`, which is its `xmin`.
        edition: Of the program that made it: another edition may answer otherwise.
        etag: The surface's mark of the answer.
        answer: As the surface wrote it.
    """

    __tablename__ = "status_answers"

    run_id: Mapped[UUID] = mapped_column(
        ForeignKey("workflow_runs.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(BigInteger)
    written_by: Mapped[int] = mapped_column(BigInteger)
    edition: Mapped[str] = mapped_column(String(64))
    etag: Mapped[str] = mapped_column(String(100))
    answer: Mapped[bytes] = mapped_column(LargeBinary)


class DefinitionRow(Row):
    """One row of `workflow_definitions`: a definition that a run has used."""

    __tablename__ = "workflow_definitions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    content: Mapped[dict[str, Any]]
    first_used_at: Mapped[datetime]
