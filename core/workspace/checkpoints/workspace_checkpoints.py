"""The checkpoints of a machine's workspaces: taking, packing, restoring and deleting them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from core.domain.runs.checkpoint import REFERENCE_PREFIX, Checkpoint
from core.domain.runs.work.carried_work import Bundle
from core.workspace.checkpoints import taking
from core.workspace.checkpoints.preview import RestorePreview, preview
from core.workspace.checkpoints.restoring import RestoredFiles, restore_here
from core.workspace.checkpoints.taking import TakenFiles
from core.workspace.command import Git
from core.workspace.creation import Creation, Restored
from core.workspace.folders import Workspace, WorkspaceFolders
from core.workspace.source import parse_source
from core.workspace.work.carry import MAX_BUNDLE_BYTES
from core.workspace.worker_git import WorkerGit

T = TypeVar("T")


@dataclass(frozen=True)
class WorkspaceCheckpoints:
    """Checkpoints of workspaces; every method runs git in a thread.

    It is `Workspaces.checkpoints`.
    """

    git: WorkerGit
    folders: WorkspaceFolders
    creation: Callable[[Git], Creation]

    async def take(
        self,
        workspace: Workspace,
        *,
        start: str | None,
        previous: TakenFiles | None = None,
        max_bytes: int | None = None,
    ) -> TakenFiles:
        """Commit all files that are not ignored, on no reference yet; `keep` adds one.

        Index, HEAD, branches and files of the agent are not changed, and it may go on meanwhile.

        Args:
            workspace: The workspace.
            start: The commit at which the run started.
            previous: The checkpoint before, if it was taken in this workspace.
            max_bytes: The most that changed and new files may have together.

        Raises:
            CheckpointTooLarge: If they have more.
            WorkspaceError: If the repository is gone or damaged.
        """
        return await self.git.run(
            lambda git: taking.take(
                git, workspace.path, start=start, previous=previous, max_bytes=max_bytes
            )
        )

    async def keep(self, workspace: Workspace, taken: TakenFiles, reference: str) -> None:
        """Keep the objects of a checkpoint on its private reference."""
        await self.git.run(lambda git: taking.keep(git, workspace.path, taken, reference))

    async def pack(
        self,
        workspace: Workspace,
        taken: TakenFiles,
        *,
        basis: Checkpoint | None,
        max_bytes: int = MAX_BUNDLE_BYTES,
    ) -> bytes:
        """Bundle what the repository and an earlier checkpoint lack; empty if that is nothing.

        Args:
            workspace: The workspace.
            taken: The new checkpoint.
            basis: The earlier one, on whose objects the new one stands.
            max_bytes: The largest bundle to return.

        Raises:
            BundleTooLarge: If the bundle would be larger than `max_bytes`.
            WorkspaceError: If the repository is gone or damaged.
        """
        known = [] if workspace.base_commit is None else [workspace.base_commit]
        known += [] if basis is None else basis.commits
        return await self.git.run(
            lambda git: taking.pack(git, workspace.path, taken, known=known, max_bytes=max_bytes)
        )

    async def restore(
        self,
        workspace: Workspace,
        checkpoint: Checkpoint,
        *,
        bundles: Sequence[bytes] | None,
        label: str,
        files_only: bool = False,
    ) -> RestoredFiles:
        """Go back to a checkpoint in a workspace on this disk, in which nothing is working.

        The present files, index and commits go onto private references first.  If it fails, all
        is put back.  A cancellation waits until it is done.

        Args:
            workspace: The workspace; of the session or of one from which it was forked.
            checkpoint: The checkpoint.
            bundles: What `bundles_for` of the store returned: needed only if the workspace lacks
                objects.
            label: Names the private references (`refs/signalbox/before/<label>/…`); each restore
                has its own, such as `run_…-<attempt>`.
            files_only: Whether HEAD, branches and index stay as they are.

        Raises:
            CheckpointGone: If its objects are nowhere.
            RestoreRefused: If something would be lost; nothing was changed.
            RestoreFailed: If it failed; whether all was put back, the error says.
            WorkspaceError: If the workspace cannot be read.
        """
        target, earlier = split_bundles(checkpoint, bundles)

        def work(git: Git) -> RestoredFiles:
            with self.folders.lock(git, workspace.id):
                return restore_here(
                    git,
                    workspace.path,
                    target,
                    earlier=earlier,
                    label=label,
                    files_only=files_only,
                )

        return await self._run_to_its_end(work)

    async def create(
        self,
        checkpoint: Checkpoint,
        *,
        workspace_id: str,
        source: str | None,
        bundles: Sequence[bytes] | None,
    ) -> Restored:
        """Create a workspace as it was at a checkpoint, on any machine.

        A workspace of this id that is here already is brought back to the checkpoint, as by
        `restore`.  A damaged one is left as it is, and another is created beside it.

        Args:
            checkpoint: The checkpoint.
            workspace_id: The id of the workspace.
            source: The repository.
            bundles: What `bundles_for` of the store returned.

        Raises:
            BadRepository: If `source` is not an address of a supported form.
            RepositoryNotAllowed: If it may not be cloned.
            CheckpointGone: If the checkpoint's objects are nowhere.
            UnusableBundle: If they are damaged, or do not fit the repository.
            WorkspaceError: If the workspace cannot be created; see also `restore`.
        """
        self.folders.require_valid(workspace_id)
        parsed = None if source is None else parse_source(source)
        target, earlier = split_bundles(checkpoint, bundles)
        return await self._run_to_its_end(
            lambda git: self.creation(git).restore_checkpoint(
                workspace_id,
                source=parsed,
                target=target,
                earlier=earlier,
                reference=checkpoint.reference,
            )
        )

    async def preview(
        self, workspace: Workspace, checkpoint: Checkpoint, *, bundles: Sequence[bytes] | None
    ) -> RestorePreview:
        """Tell what going back to a checkpoint would discard; the arguments are as in `restore`.

        Raises:
            CheckpointGone: If its objects are nowhere.
            WorkspaceError: If the workspace cannot be read.
        """
        target, earlier = split_bundles(checkpoint, bundles)
        return await self.git.run(lambda git: preview(git, workspace.path, target, earlier=earlier))

    async def prune(self, workspace: Workspace, keep: Collection[Checkpoint]) -> int:
        """Delete the private references of checkpoints that are not among these.

        Returns:
            How many were deleted.
        """
        names = frozenset(checkpoint.reference for checkpoint in keep)
        return await self.git.run(
            lambda git: taking.prune(git, workspace.path, REFERENCE_PREFIX, names)
        )

    async def _run_to_its_end(self, work: Callable[[Git], T]) -> T:
        task = asyncio.create_task(self.git.run(work), name="restore a checkpoint")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise


def split_bundles(
    checkpoint: Checkpoint, bundles: Sequence[bytes] | None
) -> tuple[Bundle, Sequence[bytes] | None]:
    """The checkpoint with its newest bundle, and the bundles before it; see `bundles_for`."""
    if not bundles:
        return checkpoint.to_bundle(), bundles
    target = checkpoint.to_bundle()
    return replace(target, data=bundles[-1]), bundles[:-1]
