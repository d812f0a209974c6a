"""The changes of a run that leave its status as it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict
from uuid import UUID

from core.domain.fleet.workers import QueueReason
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import CostSource, Usage, WaitingOn
from core.domain.runs.work.diff import DiffStat
from core.domain.workflow import OnWorkerLost


class RunChanges(TypedDict, total=False):
    """New values of fields of a `Run`; a field that is left out does not change.

    Attributes:
        metadata: Keys to add or replace; other keys stay, so writers of different keys do not
            overwrite each other.
    """

    agent_type: str | None
    ai_model: str | None
    session_name: str | None
    git_repo: str | None
    git_branch: str | None
    initial_commit_hash: str | None
    final_commit_hash: str | None
    initial_branches: Mapping[str, str] | None
    diff: DiffStat | None
    changes_unknown: str | None
    work_due_at: datetime | None
    result: str | None
    error_message: str | None
    workspace_id: str | None
    workspace_persistent: bool
    workspace_cleaned_up: bool
    workspace_path: str | None
    cost_usd: Decimal | None
    cost_source: CostSource | None
    usage: Usage
    user_id: UUID | None
    metadata: Mapping[str, Any]
    waiting_on: WaitingOn | None
    turns: int
    max_turns: int | None
    budget_usd: Decimal | None
    timeout: timedelta | None
    tool_calls: int
    tools_used: tuple[str, ...]
    parent_run_id: UUID | None
    priority: int
    last_activity_at: datetime | None
    last_activity: str | None
    slack_team_id: str | None
    slack_channel_id: str | None
    thread_key: str | None
    job_id: int | None
    on_worker_lost: OnWorkerLost
    queue_reason: QueueReason | None
    retry_at: datetime | None
    outcome: Outcome | None
    outcome_reasons: tuple[OutcomeReason, ...]
