"""The conversion between a `Run` and the columns of `workflow_runs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from typing import Any

from core.domain.fleet.workers import QueueReason
from core.domain.runs.changes import RunChanges
from core.domain.runs.diff import CommitInfo, DiffStat, FileChange
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason, Usage, WaitingOn
from core.domain.workflow import OnWorkerLost
from core.store.tables.runs import RunRow


def _diff(diff: DiffStat | None) -> dict[str, Any]:
    """The columns of a diff.  Unknown changes are an empty object and no numbers, not zeros."""
    return {
        "git_diff_stats": {} if diff is None else asdict(diff),
        "git_diff_added_lines": diff.added_lines if diff else None,
        "git_diff_removed_lines": diff.removed_lines if diff else None,
        "git_diff_files_changed": diff.file_count if diff else None,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_creation_tokens": usage.cache_creation_tokens,
    }


def _timeout(timeout: timedelta | None) -> dict[str, Any]:
    seconds = None if timeout is None else Decimal(str(timeout.total_seconds()))
    return {"timeout_seconds": seconds}


_CONVERTED_FIELDS: Mapping[str, Callable[[Any], dict[str, Any]]] = MappingProxyType(
    {
        "diff": _diff,
        "usage": _usage,
        "timeout": _timeout,
        "cost_usd": lambda cost: {"cost_estimate": cost},
        "tools_used": lambda tools: {"tools_used": list(tools)},
        "outcome_reasons": lambda reasons: {"outcome_reasons": [one.value for one in reasons]},
        # Merged, so that writers of different keys do not overwrite each other.
        "metadata": lambda patch: {"metadata_": RunRow.metadata_.concat(dict(patch))},
    }
)
# Fields that `change` cannot set; only `add` and the functions of `runs` with one purpose do.
_SET_ON_CREATE = (
    "id", "run_id", "workflow_name", "task_input", "status", "created_at", "updated_at",
    "session_id", "started_at", "completed_at", "stop_reason", "attempt", "kill_requested_at",
    "worker_id", "request_key",
)  # fmt: skip


def changed_columns(changes: RunChanges) -> dict[str, Any]:
    """Return the column values for changed fields of a `Run`.

    Raises:
        TypeError: If a field does not exist, or changes only together with the status.
    """
    return _columns_of(changes)


def _columns_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in RunChanges.__optional_keys__:
            raise TypeError(f"{name} is not a field of a run that can be changed")
        # A field without a conversion is stored unchanged in the column of the same name.
        columns |= _CONVERTED_FIELDS[name](value) if name in _CONVERTED_FIELDS else {name: value}
    return columns


def new_run_columns(run: Run) -> dict[str, Any]:
    """Return the column values of a new run, without its version."""
    changeable = RunChanges.__optional_keys__ - {"metadata"}
    fields = {name: getattr(run, name) for name in sorted(changeable)}
    set_on_create = {name: getattr(run, name) for name in _SET_ON_CREATE}
    return _columns_of(fields) | set_on_create | {"metadata_": dict(run.metadata)}


def _diff_of(stats: Mapping[str, Any] | None) -> DiffStat | None:
    if not stats:
        return None
    # Rows of earlier versions lack the keys that were added later.
    return DiffStat(
        **{
            **stats,
            "files": tuple(FileChange(**change) for change in stats.get("files", ())),
            "commits": tuple(CommitInfo(**commit) for commit in stats.get("commits", ())),
        }
    )


def to_run(row: RunRow | SimpleNamespace) -> Run:
    """The domain value of a row, or of its values under the same names."""
    seconds = row.timeout_seconds
    return Run(
        id=row.id,
        run_id=row.run_id,
        workflow_name=row.workflow_name,
        agent_type=row.agent_type,
        ai_model=row.ai_model,
        task_input=row.task_input,
        session_id=row.session_id,
        session_name=row.session_name,
        git_repo=row.git_repo,
        git_branch=row.git_branch,
        initial_commit_hash=row.initial_commit_hash,
        final_commit_hash=row.final_commit_hash,
        initial_branches=row.initial_branches,
        diff=_diff_of(row.git_diff_stats),
        changes_unknown=row.changes_unknown,
        work_due_at=row.work_due_at,
        status=RunStatus(row.status),
        result=row.result,
        error_message=row.error_message,
        created_at=row.created_at,
        started_at=row.started_at,
        updated_at=row.updated_at,
        completed_at=row.completed_at,
        workspace_id=row.workspace_id,
        workspace_persistent=row.workspace_persistent,
        workspace_cleaned_up=row.workspace_cleaned_up,
        workspace_path=row.workspace_path,
        cost_usd=row.cost_estimate,
        cost_source=CostSource(row.cost_source) if row.cost_source else None,
        usage=Usage(
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cache_read_tokens=row.cache_read_tokens,
            cache_creation_tokens=row.cache_creation_tokens,
        ),
        user_id=row.user_id,
        metadata=row.metadata_,
        stop_reason=StopReason(row.stop_reason) if row.stop_reason else None,
        waiting_on=WaitingOn(row.waiting_on) if row.waiting_on else None,
        turns=row.turns,
        max_turns=row.max_turns,
        budget_usd=row.budget_usd,
        timeout=None if seconds is None else timedelta(seconds=float(seconds)),
        tool_calls=row.tool_calls,
        tools_used=tuple(row.tools_used),
        parent_run_id=row.parent_run_id,
        attempt=row.attempt,
        priority=row.priority,
        kill_requested_at=row.kill_requested_at,
        last_activity_at=row.last_activity_at,
        last_activity=row.last_activity,
        worker_id=row.worker_id,
        version=row.version,
        slack_team_id=row.slack_team_id,
        slack_channel_id=row.slack_channel_id,
        thread_key=row.thread_key,
        request_key=row.request_key,
        job_id=row.job_id,
        on_worker_lost=OnWorkerLost(row.on_worker_lost),
        queue_reason=QueueReason(row.queue_reason) if row.queue_reason else None,
        outcome=Outcome(row.outcome) if row.outcome else None,
        outcome_reasons=tuple(OutcomeReason(one) for one in row.outcome_reasons),
    )
