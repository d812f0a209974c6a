"""The workspaces of a machine: the directories with git repositories in which agents work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.domain.reach.repositories import DEFAULT_POLICY, RepositoryNotAllowed, RepositoryPolicy
from core.domain.runs.work.carried_work import Bundle
from core.domain.runs.work.diff import DiffStat, StartState
from core.workspace.checkpoints.workspace_checkpoints import WorkspaceCheckpoints
from core.workspace.command import Confine, Git
from core.workspace.creation import Creation, Restored
from core.workspace.errors import MissingBranch, UnreachableRepository, WorkspaceError
from core.workspace.folders import Workspace, WorkspaceFolders
from core.workspace.locks import remove_stale_locks, use_lock
from core.workspace.repositories.commits import has_commit
from core.workspace.scratch import Scratch
from core.workspace.settings import git_environment
from core.workspace.source import BadRepository, BranchWithoutRepository, parse_source
from core.workspace.watch import GitWatch
from core.workspace.work import changes, worktree
from core.workspace.work.carry import MAX_BUNDLE_BYTES, create_bundle, read_head_state
from core.workspace.work.references import start_state
from core.workspace.worker_git import WorkerGit

__all__ = [
    "BadRepository",
    "MissingBranch",
    "RepositoryNotAllowed",
    "Restored",
    "UnreachableRepository",
    "Workspace",
    "WorkspaceError",
    "Workspaces",
]


class Workspaces:
    """All workspaces of this machine; any number of workers may share `root`.

    Every method runs git in a thread.  Cancelling a call ends its git processes.

    Args:
        root: Contains `mirrors/`, `workspaces/` and `records/`.
        git_timeout: The limit for one git command, and for the wait for another run's lock.
        environment: The variables that git sees; by default those that `settings` lets through.
        scratch: The process's temporary directory.  Without it, temporary files of a killed
            process may never be removed.
        confine: Confines git commands in a workspace, see `Git`.
        policy: Which repositories may be cloned; by default those on hosts with public addresses.

    Attributes:
        folders: Where they are.
        git: Runs git for them.
    """

    def __init__(
        self,
        root: Path,
        *,
        git_timeout: timedelta,
        environment: Mapping[str, str] | None = None,
        scratch: Scratch | None = None,
        confine: Confine | None = None,
        policy: RepositoryPolicy = DEFAULT_POLICY,
    ) -> None:
        self.root = root.expanduser().absolute()
        self.policy = policy
        self._scratch = scratch
        self._git_timeout = git_timeout
        self.folders = WorkspaceFolders(self.root)
        self.git = WorkerGit(
            self.root,
            timeout=git_timeout,
            environment=git_environment() if environment is None else environment,
            scratch=scratch,
            confine=confine,
        )
        self.checkpoints = WorkspaceCheckpoints(self.git, self.folders, self._creation)

    def require_allowed(self, source: str | None) -> None:
        """Check that the repository may be used here, as far as its address tells.

        Raises:
            BadRepository: If `source` is not an address of a supported form.
            RepositoryNotAllowed: If it may not be cloned.
        """
        if source is not None:
            parse_source(source).require_allowed(self.policy)

    async def check(self, source: str, branch: str | None = None) -> None:
        """Check that a repository can be read and has the branch, without fetching.

        Raises:
            BadRepository: If `source` is not an address of a supported form.
            RepositoryNotAllowed: If it may not be cloned.
            UnreachableRepository: If the repository cannot be read.
            MissingBranch: If it has no such branch.
        """
        parsed = parse_source(source)
        await self.git.run(lambda git: self._creation(git).check_branch(parsed, branch))

    async def has_commit(self, source: str, commit: str) -> bool:
        """Return whether a repository has a commit, asking it.

        Raises:
            BadRepository: If `source` is not an address of a supported form.
            RepositoryNotAllowed: If it may not be cloned.
            UnreachableRepository: If the repository cannot be read.
        """
        parsed = parse_source(source)
        return await self.git.run(
            lambda git: has_commit(
                git, parsed, commit, policy=self.policy, root=self.root, scratch=self._scratch
            )
        )

    async def prepare(
        self,
        *,
        workspace_id: str,
        source: str | None,
        branch: str | None,
        run_branch: str,
        watch: GitWatch | None = None,
    ) -> Workspace:
        """Create a workspace: a clone on `run_branch`, or an empty repository without a source.

        It appears as a whole or not at all.  An existing one is returned unchanged.  Concurrent
        calls for the same id wait for each other.  `watch` sees the git commands while they run,
        here and in the methods below.

        Raises:
            BadRepository: If `source` is not an address of a supported form.
            RepositoryNotAllowed: If it may not be cloned.
            WorkspaceError: If it cannot be created.
        """
        self.folders.require_valid(workspace_id)
        if source is None and branch is not None:
            raise BranchWithoutRepository(branch)
        parsed = None if source is None else parse_source(source)
        return await self.git.run(
            lambda git: self._creation(git).prepare(
                workspace_id, source=parsed, branch=branch, run_branch=run_branch
            ),
            watch=watch,
        )

    async def restore(
        self,
        *,
        workspace_id: str,
        source: str | None,
        bundle: Bundle,
        watch: GitWatch | None = None,
    ) -> Restored:
        """Create a workspace as another node left it, with commits and uncommitted changes.

        An older copy on this disk is brought to the carried state; its own uncommitted changes
        are saved on a private reference.  A copy with commits of its own is left unchanged, and
        the workspace is created beside it under another id.

        Raises:
            BadRepository: If `source` is not an address of a supported form.
            RepositoryNotAllowed: If it may not be cloned.
            UnusableBundle: If the bundle is damaged, or does not fit the repository.
            WorkspaceError: If it cannot be created.
        """
        self.folders.require_valid(workspace_id)
        parsed = None if source is None else parse_source(source)
        return await self.git.run(
            lambda git: self._creation(git).restore(workspace_id, source=parsed, bundle=bundle),
            watch=watch,
        )

    async def reopen(self, workspace_id: str, *, watch: GitWatch | None = None) -> Workspace | None:
        """Open an existing workspace for the session's next attempt; `None` if it is not here.

        Removes lock files of killed git processes.  Nothing may be working in the workspace.

        Raises:
            DamagedRepository: If the folder is here without a usable repository.  `prepare` and
                `restore` leave it as it is, and create another workspace beside it.
        """
        path = self.folders.path_of(workspace_id)

        def find(git: Git) -> Workspace | None:
            if not self.folders.is_taken(workspace_id):
                return None
            remove_stale_locks(path / ".git")
            worktree.require_usable(git, path)
            return self.folders.describe(git, workspace_id)

        return await self.git.run(find, watch=watch)

    @asynccontextmanager
    async def in_use(self, workspace_id: str) -> AsyncIterator[None]:
        """Keep a session's workspace from being removed during the block.

        Waits until a removal that is under way has ended or was given up.

        Raises:
            WorkspaceBusy: If that takes longer than git's timeout.
        """
        path = await self.git.run(lambda _: self.folders.use_lock(workspace_id))
        async with use_lock(path, timeout=self._git_timeout, is_shared=True):
            path.touch()
            yield
            path.touch()

    async def find(self, workspace_id: str) -> Workspace | None:
        """Find an existing workspace only to read it; `None` if it is not here.

        Raises:
            DamagedRepository: If the folder is here without a usable repository.
        """

        def look(git: Git) -> Workspace | None:
            if not self.folders.is_taken(workspace_id):
                return None
            worktree.require_usable(git, self.folders.path_of(workspace_id))
            return self.folders.describe(git, workspace_id)

        return await self.git.run(look)

    async def head(self, workspace: Workspace) -> str | None:
        """Return the commit checked out; `None` if there is no commit yet."""
        return await self.git.run(lambda git: worktree.head_of(git, workspace.path))

    async def start_state(self, workspace: Workspace) -> tuple[str | None, dict[str, str]]:
        """Return the commit checked out, and the local branches (full name to commit)."""
        return await self.git.run(lambda git: start_state(git, workspace.path))

    async def diff(
        self,
        workspace: Workspace,
        start: StartState | str | None,
        *,
        saved: Mapping[str, Any] | None = None,
    ) -> DiffStat:
        """Return the changes since the start: commits on all branches, and files.

        The agent's index, HEAD and files are not changed.

        Args:
            workspace: The workspace.
            start: The state at the start, or only the commit; `None` counts everything.
            saved: What `save` returned, if nothing was changed since; otherwise the work tree is
                read again.

        Raises:
            WorkspaceError: If the commit of the start or the repository is gone.
        """
        state = start if isinstance(start, StartState) else StartState(commit=start)
        return (await self.measure(workspace, state, saved=saved)).diff

    async def measure(
        self, workspace: Workspace, start: StartState, *, saved: Mapping[str, Any] | None = None
    ) -> changes.Measured:
        """Return the changes since the start as `diff` does, and the changed lines."""
        return await self.git.run(lambda git: changes.measure(git, workspace.path, start, saved))

    async def save(
        self, workspace: Workspace, label: str, *, only_if_uncommitted: bool = False
    ) -> Mapping[str, Any]:
        """Commit the work tree on `refs/signalbox/<label>` without moving index, HEAD or branch.

        Ignored files and the content of nested repositories are left out.

        Args:
            workspace: The workspace.
            label: The name of the reference.
            only_if_uncommitted: Whether to make no commit if HEAD has all files.

        Returns:
            `ref`, `commit`, `head`, `tree`, and the numbers of uncommitted files and lines, as
            `Termination.work_saved` stores them.
        """
        return await self.git.run(
            lambda git: changes.save(
                git, workspace.path, label, only_if_uncommitted=only_if_uncommitted
            )
        )

    async def bundle(
        self,
        workspace: Workspace,
        *,
        since: str | None,
        saved: str | None = None,
        start: str | None = None,
        max_bytes: int = MAX_BUNDLE_BYTES,
    ) -> Bundle | None:
        """Bundle what the repository lacks of a workspace; `None` if that is nothing.

        The bundle has all branches, HEAD, and the work tree as `save` committed it.  It leaves out
        ignored files, stashes, tags, the content of nested repositories, and the difference
        between the index and the work tree.

        Args:
            workspace: The workspace to bundle.
            since: The commit up to which the repository has everything; `None` if it has nothing.
            saved: The commit that `save` made, if it was called.
            start: A commit to include even if no branch contains it any more.
            max_bytes: The largest bundle to return.

        Raises:
            BundleTooLarge: If the bundle would be larger than `max_bytes`.
            WorkspaceError: If the repository is gone or damaged.
        """
        return await self.git.run(
            lambda git: create_bundle(
                git, workspace.path, since=since, saved=saved, start=start, max_bytes=max_bytes
            )
        )

    async def read_head_state(self, workspace: Workspace) -> str:
        """Return a text that changes when a commit is made, without starting a process.

        Empty if HEAD cannot be read so.
        """
        return await asyncio.to_thread(read_head_state, workspace.path)

    def _creation(self, git: Git) -> Creation:
        return Creation(git=git, folders=self.folders, policy=self.policy, scratch=self._scratch)
