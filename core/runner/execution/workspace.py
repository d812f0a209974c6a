"""The workspace of an attempt: present already, restored from carried work, or new."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from core.domain.fleet.attempt import disk_id_of_node, node_of
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run
from core.runner.execution.attempt import Attempt
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.restarts.files import workspace_of_fork
from core.runner.execution.stored_work import EarlierWork, StoredCheckpoint, find_earlier_work
from core.runner.log_fields import log_fields
from core.runner.resilience import retry_while_unavailable
from core.store.sessions import sessions
from core.workspace.checkpoints.errors import CheckpointGone
from core.workspace.errors import DamagedRepository
from core.workspace.work.restore import UnusableBundle
from core.workspace.workspaces import Workspace, Workspaces

log = logging.getLogger(__name__)

# Of repositories that an event names.
_MAX_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class AttemptWorkspace:
    """The workspace of an attempt.

    Attributes:
        is_older: Whether it was built anew without anything that this run had done: from what an
            earlier run of the session left, or from the repository.
    """

    workspace: Workspace
    is_older: bool = False


async def ensure_workspace(
    attempt: Attempt, branch: str | None, *, ledger: Ledger, workspaces: Workspaces
) -> AttemptWorkspace:
    """Find or create the workspace of an attempt.

    A workspace on this disk is used if the session worked here last, otherwise what is stored: a
    checkpoint if the last attempt was cut short after it, or the carried work.

    Args:
        attempt: The attempt; its events record what was restored and what is missing.
        branch: The branch that a new workspace starts from.
        ledger: For reads from the database.
        workspaces: The workspaces of this node.

    Raises:
        RepositoryNotAllowed: If the run's repository may not be cloned, even if it is here already.
        WorkspaceError: If the workspace cannot be created.
    """
    run = attempt.run
    # The settings may have changed since the run was requested, or those of the bot may differ.
    workspaces.require_allowed(run.git_repo)
    watch = attempt.opened.git
    workspace_id = workspace_id_of(run)
    existing, is_damaged, earlier_work = None, False, None
    try:
        existing = await workspaces.reopen(workspace_id, watch=watch)
    except DamagedRepository:
        is_damaged = True
    if not attempt.is_first:
        node = await retry_while_unavailable(lambda: _last_node(ledger, run))
        is_elsewhere = node is not None and disk_id_of_node(node) != disk_id_of_node(
            node_of(ledger.worker_id)
        )
        if existing is None or is_elsewhere:
            earlier_work = await retry_while_unavailable(
                lambda: find_earlier_work(
                    ledger,
                    run,
                    node,
                    is_gone=not is_elsewhere and not is_damaged,
                    is_damaged=is_damaged and not is_elsewhere,
                )
            )
    if earlier_work is not None and earlier_work.checkpoint is not None:
        rebuilt = await _rebuild(
            attempt,
            earlier_work,
            earlier_work.checkpoint,
            workspace_id,
            ledger=ledger,
            workspaces=workspaces,
        )
        if rebuilt is not None:
            return rebuilt
    if earlier_work is not None and earlier_work.work is not None:
        restored = await workspaces.restore(
            workspace_id=workspace_id,
            source=run.git_repo,
            bundle=earlier_work.work.bundle,
            watch=watch,
        )
        _note_restored(
            attempt, ledger, earlier_work, workspace_id, restored.workspace,
            commit=earlier_work.work.bundle.head_commit,
            uncommitted=earlier_work.work.bundle.saved_commit is not None,
            kept=restored.superseded_ref,
            left_empty=list(restored.left_empty[:_MAX_NAMED]),
        )  # fmt: skip
        is_older = earlier_work.work.run_id != run.id
        return AttemptWorkspace(workspace=restored.workspace, is_older=is_older)
    is_new = existing is None
    if existing is None:
        existing = await workspace_of_fork(
            attempt, workspace_id, ledger=ledger, workspaces=workspaces
        )
    if existing is None:
        existing = await workspaces.prepare(
            workspace_id=workspace_id,
            source=run.git_repo,
            branch=branch,
            run_branch=f"signalbox/{run.workflow_name}/{run.run_id}",
            watch=watch,
        )
    if earlier_work is not None and (
        earlier_work.is_cut_short
        or earlier_work.has_gaps
        or earlier_work.is_gone
        or earlier_work.is_damaged
    ):
        _note_restored(
            attempt, ledger, earlier_work, workspace_id, existing, commit=None, uncommitted=False
        )
    return AttemptWorkspace(workspace=existing, is_older=is_new)


def workspace_id_of(run: Run) -> str:
    """The id of a run's workspace: its session's, or the one that its session gets."""
    return run.workspace_id or f"ws_{run.session_id.hex[:12]}"


async def _rebuild(
    attempt: Attempt,
    earlier_work: EarlierWork,
    stored: StoredCheckpoint,
    workspace_id: str,
    *,
    ledger: Ledger,
    workspaces: Workspaces,
) -> AttemptWorkspace | None:
    """The workspace as it was at a checkpoint; `None` if that cannot be unpacked."""
    run, checkpoint = attempt.run, stored.checkpoint
    try:
        restored = await workspaces.checkpoints.create(
            checkpoint, workspace_id=workspace_id, source=run.git_repo, bundles=stored.bundles
        )
    except (CheckpointGone, UnusableBundle) as error:
        # The carried work is older, but complete in itself.
        log.warning(
            "%s: workspace not rebuilt from checkpoint @%d: %s",
            run.run_id,
            checkpoint.number,
            error,
            extra=log_fields("workspace.checkpoint_unusable", run),
        )
        return None
    _note_restored(
        attempt, ledger, earlier_work, workspace_id, restored.workspace,
        checkpoint=checkpoint.number,
        commit=checkpoint.head_commit,
        uncommitted=checkpoint.commit != checkpoint.head_commit,
        kept=restored.superseded_ref,
        left_empty=list(restored.left_empty[:_MAX_NAMED]),
    )  # fmt: skip
    return AttemptWorkspace(workspace=restored.workspace, is_older=checkpoint.run_id != run.id)


def _note_restored(
    attempt: Attempt,
    ledger: Ledger,
    earlier_work: EarlierWork,
    workspace_id: str,
    restored: Workspace,
    **data: Any,
) -> None:
    attempt.progress.add_record(
        EventKind.WORK_RESTORED,
        ledger.context.clock(),
        from_node=earlier_work.node,
        workspace=workspace_id,
        incomplete=earlier_work.is_cut_short or earlier_work.has_gaps,
        cut_short=earlier_work.is_cut_short,
        gone=earlier_work.is_gone,
        damaged=earlier_work.is_damaged,
        rebuilt=restored.id,
        **data,
    )


async def _last_node(ledger: Ledger, run: Run) -> str | None:
    async with ledger.context.transaction() as session:
        return (await sessions.get(session, run.session_id)).workspace_node
