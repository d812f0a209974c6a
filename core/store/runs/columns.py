"""The conversion between a `Run` and the columns of `workflow_runs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from core.domain.building import build
from core.domain.fleet.workers import QueueReason
from core.domain.runs.changes import RunChanges
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason, Usage, WaitingOn
from core.domain.runs.work.diff import CommitInfo, DiffStat, FileChange
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
    "worker_id", "request_key", "restarted_from_checkpoint_id",
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


# The columns with other names than the fields of a `Run`.
_RENAMED = MappingProxyType({"cost_estimate": "cost_usd", "metadata_": "metadata"})
# The columns of which several make a field, and those that no field has.
_USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
_UNREAD = frozenset(
    {
        "git_diff_added_lines",
        "git_diff_removed_lines",
        "git_diff_files_changed",
        "duration_seconds",
        "total_tokens",
        "is_end_evaluated",
    }
)
# The column of each field that is read as it is, or converted below; by the column's name.
READ_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        attribute.columns[0].name: _RENAMED.get(attribute.key, attribute.key)
        for attribute in RunRow.__mapper__.column_attrs
        if attribute.key not in _UNREAD
    }
)
_ATTRIBUTES = tuple(
    (attribute.key, READ_COLUMNS[attribute.columns[0].name])
    for attribute in RunRow.__mapper__.column_attrs
    if attribute.columns[0].name in READ_COLUMNS
)


def to_run(row: RunRow) -> Run:
    """The domain value of a row."""
    return run_of({name: getattr(row, attribute) for attribute, name in _ATTRIBUTES})


def run_of(values: dict[str, Any]) -> Run:
    """The domain value of the `READ_COLUMNS` of a row, which are changed in place."""
    values["status"] = RunStatus(values["status"])
    values["diff"] = _diff_of(values.pop("git_diff_stats"))
    values["usage"] = Usage(**{name: values.pop(name) for name in _USAGE})
    seconds = values.pop("timeout_seconds")
    values["timeout"] = None if seconds is None else timedelta(seconds=float(seconds))
    values["tools_used"] = tuple(values["tools_used"])
    values["on_worker_lost"] = OnWorkerLost(values["on_worker_lost"])
    values["outcome_reasons"] = tuple(OutcomeReason(one) for one in values["outcome_reasons"])
    for name, kind in _OPTIONAL_ENUMS:
        values[name] = kind(values[name]) if values[name] else None
    return build(Run, values)


_OPTIONAL_ENUMS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("cost_source", CostSource),
    ("stop_reason", StopReason),
    ("waiting_on", WaitingOn),
    ("queue_reason", QueueReason),
    ("outcome", Outcome),
)
