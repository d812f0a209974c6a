"""The workspace with which a restarted run begins."""

from __future__ import annotations

from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.restarts.errors import FilesGone
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.run import Run
from core.domain.runs.work.carried_work import Bundle
from core.runner.execution.attempt import Attempt
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.restarts.beginning import Fork, fork_of
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable
from core.store import events
from core.store.runs import run_queries
from core.store.runs.compare_and_set import bump_version
from core.store.sessions.checkpoints import checkpoints
from core.workspace.workspaces import Workspace, Workspaces

# Of files and folders that an event names.
_MAX_NAMED = 20


async def workspace_of_fork(
    attempt: Attempt, workspace_id: str, *, ledger: Ledger, workspaces: Workspaces
) -> Workspace | None:
    """Create the workspace of a restarted run as it was at the point of the restart.

    The old workspace is not touched, wherever it is.

    Returns:
        The workspace; `None` if the run is no restart in a session of its own, or begins in an
        empty repository: then it begins like any other.

    Raises:
        FilesGone: If the files of the checkpoint are not stored any more.
        WorkspaceError: If the workspace cannot be created.
    """
    run, watch = attempt.run, attempt.opened.git
    fork = await retry_while_unavailable(lambda: _fork(ledger, run))
    if fork is None:
        return None
    origin = fork.origin
    if origin.checkpoint is None:
        if origin.base_commit is None or run.git_repo is None:
            return None
        bundle = _start_of(run, origin.base_commit)
        restored = await workspaces.restore(
            workspace_id=workspace_id, source=run.git_repo, bundle=bundle, watch=watch
        )
        return restored.workspace
    checkpoint, bundles = await retry_while_unavailable(lambda: _stored(ledger, fork.first))
    if bundles is None:
        raise FilesGone(origin.checkpoint)
    restored = await workspaces.checkpoints.create(
        checkpoint, workspace_id=workspace_id, source=run.git_repo, bundles=bundles
    )
    attempt.progress.add_record(
        EventKind.CHECKPOINT_RESTORED,
        ledger.context.clock(),
        checkpoint=origin.checkpoint,
        commit=checkpoint.commit,
        workspace=restored.workspace.id,
        left_empty=list(restored.left_empty[:_MAX_NAMED]),
    )
    return restored.workspace


async def put_files_back(
    attempt: Attempt,
    workspace: Workspace,
    *,
    is_older: bool,
    ledger: Ledger,
    workspaces: Workspaces,
) -> None:
    """Put the workspace of a session back to a checkpoint, if its new run asks for that; once.

    A later attempt of the run goes on with the files as the one before left them.

    Args:
        attempt: The attempt that begins.
        workspace: Its workspace.
        is_older: Whether that was built anew without anything that this run had done, so that the
            files have to be put back again.
        ledger: For the database.
        workspaces: The workspaces of this node.

    Raises:
        FilesGone: If the checkpoint was deleted.
        WorkspaceError: If the files cannot be put back; then nothing was changed, or the error
            says what.
    """
    run = attempt.run
    origin = RestartOrigin.of(run)
    if origin is None or origin.is_fork:
        return
    if not is_older and await retry_while_unavailable(lambda: _is_put_back(ledger, run)):
        return
    checkpoint, bundles = await retry_while_unavailable(lambda: _stored(ledger, run))
    restored = await workspaces.checkpoints.restore(
        workspace, checkpoint, bundles=bundles, label=f"{run.run_id}-{run.attempt}"
    )
    record = EventRecord(
        kind=EventKind.CHECKPOINT_RESTORED,
        at=ledger.context.clock(),
        data={
            "checkpoint": checkpoint.number,
            "commit": checkpoint.commit,
            "workspace": workspace.id,
            "kept": restored.safety_ref,
            "kept_commits": list(restored.kept_refs.values()),
            "written": restored.written,
            "removed": restored.removed,
            "left": list(restored.left[:_MAX_NAMED]),
        },
    )

    async def write() -> None:
        async with ledger.context.transaction() as session:
            await events.append(session, run.id, run.attempt, [record])
            await bump_version(session, run.id, now=record.at)

    # At once: a worker that dies now must not have it done again over later work.
    await retry_while_unavailable(write, patience=UNLIMITED_PATIENCE)


async def _is_put_back(ledger: Ledger, run: Run) -> bool:
    async with ledger.context.transaction() as session:
        kinds = (EventKind.CHECKPOINT_RESTORED,)
        return bool(await events.of_run(session, run.id, kinds=kinds, limit=1))


def _start_of(run: Run, base_commit: str) -> Bundle:
    """The state of a clone at the commit at which the old run began, on a branch of the new run."""
    return Bundle(
        data=b"",
        branch=f"signalbox/{run.workflow_name}/{run.run_id}",
        base_commit=base_commit,
        head_commit=base_commit,
    )


async def _fork(ledger: Ledger, run: Run) -> Fork | None:
    if run.parent_run_id is None:
        return None
    async with ledger.context.transaction() as session:
        return fork_of(await run_queries.legs_of_session(session, run.session_id))


async def _stored(ledger: Ledger, run: Run) -> tuple[Checkpoint, list[bytes] | None]:
    """The checkpoint from which a run was restarted, and its objects."""
    origin = RestartOrigin.of(run)
    number = (None if origin is None else origin.checkpoint) or 0
    async with ledger.context.transaction() as session:
        found = run.restarted_from_checkpoint_id
        checkpoint = None if found is None else await checkpoints.get(session, found)
        if checkpoint is None:
            raise FilesGone(number)
        return checkpoint, await checkpoints.bundles_for(session, checkpoint.id)
