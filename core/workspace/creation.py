"""Creation of workspaces: empty, as a clone, or from carried work.  Everything here blocks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from core.domain.reach.repositories import RepositoryPolicy
from core.domain.runs.work.carried_work import Bundle
from core.workspace.checkpoints.errors import CheckpointGone
from core.workspace.checkpoints.restoring import restore_here
from core.workspace.clone import clone_without_checkout, init_empty, make_clone, require_branch
from core.workspace.command import Git
from core.workspace.errors import DamagedRepository
from core.workspace.folders import Workspace, WorkspaceFolders
from core.workspace.locks import remove_stale_locks
from core.workspace.mirror import MIRRORS_FOLDER, Advertised, current_mirror, list_remote_refs
from core.workspace.scratch import Scratch
from core.workspace.source import Source
from core.workspace.staging import staged_directory
from core.workspace.work.restore import (
    Diverged,
    fast_forward,
    fetch_commit,
    left_empty,
    unpack_into_clone,
)
from core.workspace.work.worktree import head_of, require_usable, workspace_env

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A workspace restored from carried work or from a checkpoint.

    Attributes:
        superseded_ref: The private reference with the uncommitted changes of an older copy, if
            there were any; of a checkpoint, with all that was here before.
        left_empty: Paths of nested repositories, whose content was not carried.
    """

    workspace: Workspace
    superseded_ref: str | None = None
    left_empty: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Creation:
    """Creates workspaces with one `Git`; see the methods of `Workspaces`.

    Attributes:
        policy: Which repositories may be cloned.
        scratch: The process's temporary directory, see `Workspaces`.
    """

    git: Git
    folders: WorkspaceFolders
    policy: RepositoryPolicy
    scratch: Scratch | None

    def check_branch(self, source: Source, branch: str | None) -> None:
        """Check that a repository can be read and has the branch, without fetching."""
        require_branch(branch, self._advertised(source), source)

    def prepare(
        self, workspace_id: str, *, source: Source | None, branch: str | None, run_branch: str
    ) -> Workspace:
        """Create a workspace; return an existing one unchanged, unless it is damaged."""
        with self.folders.lock(self.git, workspace_id):
            workspace_id, is_here = self._find(workspace_id)
            if is_here:
                return self.folders.describe(self.git, workspace_id)
            path = self.folders.path_of(workspace_id)
            with staged_directory(path, self.scratch) as staged:
                base = None
                if source is None:
                    init_empty(self.git, staged)
                else:
                    advertised = self._advertised(source)
                    require_branch(branch, advertised, source)
                    with self._current_mirror(source, advertised) as mirror:
                        make_clone(
                            self.git, staged, mirror=mirror, source=source, advertised=advertised,
                            branch=branch, run_branch=run_branch,
                        )  # fmt: skip
                    base = head_of(self.git, staged)
                self.folders.write_record(workspace_id, base, source)
            return self.folders.describe(self.git, workspace_id)

    def restore(self, workspace_id: str, *, source: Source | None, bundle: Bundle) -> Restored:
        """Create a workspace as another node left it, or bring an older copy to that state."""
        with self.folders.lock(self.git, workspace_id):
            superseded_ref = None
            chosen, is_here = self._find(workspace_id)
            if is_here:
                try:
                    superseded_ref = self._fast_forward(chosen, bundle)
                    self.folders.write_record(chosen, bundle.base_commit, source)
                except Diverged as error:
                    log.warning(
                        "workspace %s is left as it is: %s",
                        chosen,
                        error,
                        extra={"event": "workspace.diverged", "workspace_id": chosen},
                    )
                    chosen, is_here = self.folders.unused_id(workspace_id), False
            if not is_here:
                self._make_from_bundle(chosen, source, bundle)
            return Restored(
                workspace=self.folders.describe(self.git, chosen),
                superseded_ref=superseded_ref,
                left_empty=left_empty(self.git, self.folders.path_of(chosen), bundle),
            )

    def restore_checkpoint(
        self,
        workspace_id: str,
        *,
        source: Source | None,
        target: Bundle,
        earlier: Sequence[bytes] | None,
        reference: str,
    ) -> Restored:
        """Create a workspace as it was at a checkpoint, or bring the one here back to that."""
        with self.folders.lock(self.git, workspace_id):
            superseded_ref = None
            chosen, is_here = self._find(workspace_id)
            if is_here:
                path, label = self.folders.path_of(chosen), uuid4().hex
                superseded_ref = restore_here(
                    self.git, path, target, earlier=earlier, label=label, files_only=False
                ).safety_ref
            elif earlier is None:
                raise CheckpointGone(target.newest_commit, "not stored, and no workspace is here")
            else:
                self._make_from_bundle(chosen, source, target, earlier)
            path = self.folders.path_of(chosen)
            self.git.run("update-ref", "--no-deref", reference, target.newest_commit,
                         cwd=path, env=workspace_env(path))  # fmt: skip
            return Restored(
                workspace=self.folders.describe(self.git, chosen),
                superseded_ref=superseded_ref,
                left_empty=left_empty(self.git, path, target),
            )

    def _find(self, workspace_id: str) -> tuple[str, bool]:
        """The id to use, and whether that workspace is here; another one if it is damaged."""
        if not self.folders.is_taken(workspace_id):
            return workspace_id, False
        try:
            require_usable(self.git, self.folders.path_of(workspace_id))
        except DamagedRepository as error:
            log.warning(
                "workspace %s is left as it is: %s",
                workspace_id,
                error,
                extra={"event": "workspace.damaged", "workspace_id": workspace_id},
            )
            return self.folders.unused_id(workspace_id), False
        return workspace_id, True

    def _fast_forward(self, workspace_id: str, bundle: Bundle) -> str | None:
        path = self.folders.path_of(workspace_id)
        remove_stale_locks(path / ".git")
        return fast_forward(self.git, path, bundle, label=f"superseded/{uuid4().hex}")

    def _make_from_bundle(
        self,
        workspace_id: str,
        source: Source | None,
        bundle: Bundle,
        earlier: Sequence[bytes] = (),
    ) -> None:
        path = self.folders.path_of(workspace_id)
        with staged_directory(path, self.scratch) as staged:
            self.folders.write_record(workspace_id, bundle.base_commit, source)
            if source is None:
                init_empty(self.git, staged)
                unpack_into_clone(self.git, staged, bundle, earlier=earlier)
                return
            advertised = self._advertised(source)
            with self._current_mirror(source, advertised) as mirror:
                clone_without_checkout(self.git, staged, mirror=mirror, source=source)
                contact = advertised.contact
                fetch = partial(fetch_commit, self.git, staged, mirror=mirror, contact=contact)
                unpack_into_clone(self.git, staged, bundle, earlier=earlier, fetch=fetch)

    def _advertised(self, source: Source) -> Advertised:
        return list_remote_refs(self.git, source, self.policy, cwd=self.folders.root)

    def _current_mirror(
        self, source: Source, advertised: Advertised
    ) -> AbstractContextManager[Path]:
        root = self.folders.root / MIRRORS_FOLDER
        return current_mirror(
            self.git, source, advertised, root=root, lock_timeout=self.git.timeout
        )
