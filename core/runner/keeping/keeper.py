"""Keep the work of an ended run: save its work tree, and measure what it changed.

Both can take minutes beside large files, so a run does not wait for them: it ends first, and the
outcome is told when it is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.options import AGENT_EMAIL
from core.domain.errors import OpsError
from core.domain.runs.changes import RunChanges
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.work.diff import DiffStat, StartState
from core.domain.runs.work.patch import WorkPatch
from core.runner.execution.judgement import judged_run
from core.runner.log_fields import log_fields
from core.services.context import ServiceContext
from core.store import patches, steps, terminations
from core.store.runs import run_queries, runs
from core.workspace.workspaces import Workspace, Workspaces

log = logging.getLogger(__name__)

T = TypeVar("T")

# 1 GB in 50,000 files takes half a minute on a slow disk.
SAVE_LIMIT = timedelta(minutes=2)
MEASURE_LIMIT = timedelta(minutes=1)
# After that the worker that keeps the work is taken for dead.
KEEP_LIMIT = SAVE_LIMIT + MEASURE_LIMIT + timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class KeptWork:
    """What became of the work of an ended run.

    Attributes:
        saved: What was saved of the work tree, as `Termination.work_saved` stores it; without
            `head` if saving failed.
        diff: What the run changed; `None` if that could not be measured.
        unknown: Why `diff` is `None`, for people.
        patch: The changed lines; `None` if they cannot be told.
    """

    saved: Mapping[str, Any]
    diff: DiffStat | None = None
    unknown: str | None = None
    patch: WorkPatch | None = None

    @property
    def final_commit(self) -> str | None:
        """The commit checked out at the end; `None` if there is none or saving failed."""
        head = self.saved.get("head")
        return head if isinstance(head, str) else None

    @property
    def run_changes(self) -> RunChanges:
        """The fields of the run that this decides."""
        changes: RunChanges = {"diff": self.diff, "changes_unknown": self.unknown}
        if self.is_saved:
            changes["final_commit_hash"] = self.final_commit
        if self.diff is not None and self.diff.branch is not None:
            changes["git_branch"] = self.diff.branch
        return changes

    @property
    def is_saved(self) -> bool:
        """Whether nothing of the work tree is only on this disk's files."""
        return "head" in self.saved


@dataclass(frozen=True)
class WorkKeeper:
    """Keeps work in the workspaces of one worker, in bounded time."""

    workspaces: Workspaces

    async def keep(self, run: Run, workspace: Workspace, *, always_commits: bool) -> KeptWork:
        """Save the work tree, then measure the changes; no process of the run may be left.

        Args:
            run: The run.
            workspace: Its workspace.
            always_commits: Whether to save also what is committed already, for the record of a
                kill.
        """
        label = f"{run.run_id}/{run.attempt}"
        saving = self.workspaces.save(workspace, label, only_if_uncommitted=not always_commits)
        saved, problem = await _bounded(saving, SAVE_LIMIT, run, "saving")
        if saved is None:
            saved = {"kept_in": str(workspace.path), "problem": problem}
        start = StartState(
            commit=run.initial_commit_hash,
            branches=run.initial_branches or {},
            at=run.started_at,
            identities=frozenset({AGENT_EMAIL}),
        )
        measuring = self.workspaces.measure(workspace, start, saved=saved)
        measured, unknown = await _bounded(measuring, MEASURE_LIMIT, run, "measuring")
        if measured is None:
            return KeptWork(saved=saved, unknown=unknown)
        return KeptWork(saved=saved, diff=measured.diff, patch=measured.patch)


async def _bounded(
    act: Awaitable[T], limit: timedelta, run: Run, what: str
) -> tuple[T | None, str | None]:
    """Return the result of an act on the workspace, or why there is none."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await act, None
    except TimeoutError:
        error: Exception = TimeoutError(f"{what} took longer than {limit}")
        minutes = limit.total_seconds() / 60
        why = f"{what.capitalize()} it took longer than {minutes:.0f} min."
    except OpsError as problem:
        error, why = problem, problem.user_message
    except Exception as defect:
        # A run that has worked must not be repeated because its work cannot be read.
        log.exception(
            "%s: %s its work failed", run.run_id, what,
            extra=log_fields("work.keep_failed", run, what=what),
        )  # fmt: skip
        return None, f"A defect of Signalbox; the worker's log has the details ({defect!r:.80})."
    log.warning(
        "%s: %s its work failed: %s", run.run_id, what, error,
        extra=log_fields("work.keep_refused", run, what=what),
    )  # fmt: skip
    return None, why


async def record_kept(context: ServiceContext, run: Run, kept: KeptWork) -> bool:
    """Write what became of the work of a run that has ended already.

    Returns:
        Whether it was written; not if somebody else has written it.
    """
    async with context.transaction() as session:
        present = await run_queries.get_for_update(session, run.run_id)
        changes = kept.run_changes
        if present.status is RunStatus.COMPLETED:
            changes |= judged_run(present, await steps.of_run(session, run.id), kept.diff)
        now = context.clock()
        recorded = await runs.settle_work(session, run.run_id, now=now, **changes)
        if recorded is None:
            return False
        await record_lasting(session, run, kept, recorded.stop_reason, now=now)
        return True


async def record_lasting(
    session: AsyncSession, run: Run, kept: KeptWork, reason: StopReason | None, *, now: datetime
) -> None:
    """Write what the fields of a run have no place for: its changed lines, the proof of a kill."""
    if kept.patch is not None:
        await patches.put(session, run.id, kept.patch, now=now)
    if reason is StopReason.KILLED:
        await terminations.add_outcome(session, run.id, work_saved=kept.saved)
