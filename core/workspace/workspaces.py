"""The workspaces of a machine: the directories with git repositories in which agents work."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from core.domain.repositories import DEFAULT_POLICY, RepositoryNotAllowed, RepositoryPolicy
from core.domain.runs.carried_work import Bundle
from core.domain.runs.run import DiffStat
from core.workspace.clone import clone_without_checkout, init_empty, make_clone, require_branch
from core.workspace.command import Confine, Git
from core.workspace.errors import (
    MissingBranch,
    UnreachableRepository,
    WorkspaceError,
    translate_os_errors,
)
from core.workspace.locks import remove_stale_locks
from core.workspace.mirror import Advertised, current_mirror, list_remote_refs
from core.workspace.records import WorkspaceRecord, read_record, record_path, write_record
from core.workspace.scratch import Scratch, staging_path
from core.workspace.settings import git_environment
from core.workspace.source import BadRepository, BranchWithoutRepository, Source, parse_source
from core.workspace.staging import staged_directory, workspace_lock
from core.workspace.work import changes, worktree
from core.workspace.work.carry import MAX_BUNDLE_BYTES, create_bundle, read_head_state
from core.workspace.work.restore import (
    Diverged,
    fast_forward,
    fetch_commit,
    left_empty,
    unpack_into_clone,
)

__all__ = [
    "BadRepository",
    "MissingBranch",
    "RepositoryNotAllowed",
    "UnreachableRepository",
    "Workspace",
    "WorkspaceError",
    "Workspaces",
]

log = logging.getLogger(__name__)
T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# Lets git read repositories of other users.  It is safe because nothing in them is run.
_SAFE_DIRECTORY_CONFIG = "[safe]\n\tdirectory = *\n"


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A directory with a git repository for the runs of one session.

    Attributes:
        branch: The branch checked out; `None` if HEAD is detached.
        base_commit: The commit checked out at creation; `None` for a repository without commits.
        repo: The repository from which it was cloned, as shown to people; `None` for an empty one.
    """

    id: str
    path: Path
    branch: str | None
    base_commit: str | None
    repo: str | None


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A workspace restored from carried work.

    Attributes:
        superseded_ref: The private reference with the uncommitted changes of an older copy, if
            there were any.
        left_empty: Paths of nested repositories, whose content was not carried.
    """

    workspace: Workspace
    superseded_ref: str | None = None
    left_empty: tuple[str, ...] = ()


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
        self.git_timeout = git_timeout
        self.scratch = scratch
        self.confine = confine
        self.policy = policy
        self.environment = dict(git_environment() if environment is None else environment)

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

        def check_branch(git: Git) -> None:
            require_branch(branch, self._advertised(git, parsed), parsed)

        await self._run_in_thread(check_branch)

    async def prepare(
        self, *, workspace_id: str, source: str | None, branch: str | None, run_branch: str
    ) -> Workspace:
        """Create a workspace: a clone on `run_branch`, or an empty repository without a source.

        It appears as a whole or not at all.  An existing one is returned unchanged.  Concurrent
        calls for the same id wait for each other.

        Raises:
            BadRepository: If `source` is not an address of a supported form.
            RepositoryNotAllowed: If it may not be cloned.
            WorkspaceError: If it cannot be created.
        """
        path = self._path_of(workspace_id)
        if source is None and branch is not None:
            raise BranchWithoutRepository(branch)
        parsed = None if source is None else parse_source(source)

        def make(git: Git) -> Workspace:
            with self._workspace_lock(git, workspace_id):
                if (path / ".git").exists():
                    return self._describe(git, workspace_id)
                with staged_directory(path, self.scratch) as staged:
                    if parsed is None:
                        init_empty(git, staged)
                    else:
                        advertised = self._advertised(git, parsed)
                        require_branch(branch, advertised, parsed)
                        with self._current_mirror(git, parsed, advertised) as mirror:
                            make_clone(
                                git, staged, mirror=mirror, source=parsed, advertised=advertised,
                                branch=branch, run_branch=run_branch,
                            )  # fmt: skip
                    self._write_record(workspace_id, worktree.head_of(git, staged), parsed)
                return self._describe(git, workspace_id)

        return await self._run_in_thread(make)

    async def restore(self, *, workspace_id: str, source: str | None, bundle: Bundle) -> Restored:
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
        self._path_of(workspace_id)
        parsed = None if source is None else parse_source(source)

        def make(git: Git) -> Restored:
            with self._workspace_lock(git, workspace_id):
                chosen, superseded_ref = workspace_id, None
                is_here = (self._path_of(chosen) / ".git").exists()
                if is_here:
                    try:
                        remove_stale_locks(self._path_of(chosen) / ".git")
                        superseded_ref = fast_forward(
                            git, self._path_of(chosen), bundle, label=f"superseded/{uuid4().hex}"
                        )
                        self._write_record(chosen, bundle.base_commit, parsed)
                    except Diverged as error:
                        log.warning(
                            "workspace %s is left as it is: %s",
                            chosen,
                            error,
                            extra={"event": "workspace.diverged", "workspace_id": chosen},
                        )
                        chosen, is_here = self._unused_id(workspace_id), False
                if not is_here:
                    self._make_from_bundle(git, chosen, parsed, bundle)
                return Restored(
                    workspace=self._describe(git, chosen),
                    superseded_ref=superseded_ref,
                    left_empty=left_empty(git, self._path_of(chosen), bundle),
                )

        return await self._run_in_thread(make)

    def _make_from_bundle(
        self, git: Git, workspace_id: str, source: Source | None, bundle: Bundle
    ) -> None:
        with staged_directory(self._path_of(workspace_id), self.scratch) as staged:
            self._write_record(workspace_id, bundle.base_commit, source)
            if source is None:
                init_empty(git, staged)
                unpack_into_clone(git, staged, bundle)
                return
            advertised = self._advertised(git, source)
            with self._current_mirror(git, source, advertised) as mirror:
                clone_without_checkout(git, staged, mirror=mirror, source=source)
                contact = advertised.contact
                fetch = partial(fetch_commit, git, staged, mirror=mirror, contact=contact)
                unpack_into_clone(git, staged, bundle, fetch=fetch)

    async def reopen(self, workspace_id: str) -> Workspace | None:
        """Open an existing workspace for the session's next attempt; `None` if it is not here.

        Removes lock files of killed git processes.  Nothing may be working in the workspace.
        """
        path = self._path_of(workspace_id)

        def find(git: Git) -> Workspace | None:
            if not (path / ".git").exists():
                return None
            remove_stale_locks(path / ".git")
            return self._describe(git, workspace_id)

        return await self._run_in_thread(find)

    async def head(self, workspace: Workspace) -> str | None:
        """Return the commit checked out; `None` if there is no commit yet."""
        return await self._run_in_thread(lambda git: worktree.head_of(git, workspace.path))

    async def diff(self, workspace: Workspace, base: str | None) -> DiffStat:
        """Return the changes since `base`, with uncommitted and untracked files.

        `None` as base counts everything.  The agent's index, HEAD and files are not changed.

        Raises:
            WorkspaceError: If `base` or the repository is gone.
        """
        return await self._run_in_thread(lambda git: changes.diff(git, workspace.path, base))

    async def save(self, workspace: Workspace, label: str) -> Mapping[str, Any]:
        """Commit the work tree on `refs/signalbox/<label>` without moving index, HEAD or branch.

        Ignored files and the content of nested repositories are left out.

        Returns:
            `ref`, `commit`, `head`, and the numbers of uncommitted files and lines, as
            `Termination.work_saved` stores them.
        """
        return await self._run_in_thread(lambda git: changes.save(git, workspace.path, label))

    async def bundle(
        self,
        workspace: Workspace,
        *,
        since: str | None,
        saved: str | None = None,
        start: str | None = None,
        max_bytes: int = MAX_BUNDLE_BYTES,
        is_agent_working: bool = False,
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
            is_agent_working: Whether an agent may change the workspace meanwhile.  Git is then
                confined, if that is possible here.

        Raises:
            BundleTooLarge: If the bundle would be larger than `max_bytes`.
            WorkspaceError: If the repository is gone or damaged.
        """
        return await self._run_in_thread(
            lambda git: create_bundle(
                git, workspace.path, since=since, saved=saved, start=start, max_bytes=max_bytes
            ),
            is_confined=is_agent_working,
        )

    async def read_head_state(self, workspace: Workspace) -> str:
        """Return a text that changes when a commit is made, without starting a process.

        Empty if HEAD cannot be read so.
        """
        return await asyncio.to_thread(read_head_state, workspace.path)

    async def _run_in_thread(self, work: Callable[[Git], T], *, is_confined: bool = False) -> T:
        git = Git(
            environment=self.environment,
            timeout=self.git_timeout,
            global_config=self._global_config,
            temporary_dir=self.scratch.folder if self.scratch is not None else None,
            # A confined command takes about 20 ms longer.
            confine=self.confine if is_confined else None,
        )

        def run_bounded() -> T:
            with translate_os_errors():
                self._ensure_root()
                return work(git)

        try:
            return await asyncio.to_thread(run_bounded)
        except asyncio.CancelledError:
            git.stop()
            raise

    @property
    def _global_config(self) -> Path:
        return self.root / "gitconfig"

    def _ensure_root(self) -> None:
        """Create the root and the git configuration, which includes the worker's own."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.scratch is not None:
            self.scratch.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        configured = self.environment.get("GIT_CONFIG_GLOBAL")
        config_home = self.environment.get("XDG_CONFIG_HOME") or "~/.config"
        includes = [configured] if configured else [f"{config_home}/git/config", "~/.gitconfig"]
        content = (
            "".join(f"[include]\n\tpath = {_quoted(path)}\n" for path in includes)
            + _SAFE_DIRECTORY_CONFIG
        )
        config = self._global_config
        if not config.is_file() or config.read_text() != content:
            staged_config = staging_path(config, self.scratch)
            staged_config.write_text(content)
            staged_config.rename(config)

    def _path_of(self, workspace_id: str) -> Path:
        if not _ID.fullmatch(workspace_id):
            raise WorkspaceError(
                f"workspace id {workspace_id[:80]!r}",
                user_message="The workspace's id is not valid. Start a new run.",
            )
        return self.root / "workspaces" / workspace_id

    def _workspace_lock(self, git: Git, workspace_id: str) -> AbstractContextManager[None]:
        record = record_path(self.root, workspace_id)
        return workspace_lock(record, git=git, lock_timeout=self.git_timeout)

    def _advertised(self, git: Git, source: Source) -> Advertised:
        return list_remote_refs(git, source, self.policy, cwd=self.root)

    def _current_mirror(
        self, git: Git, source: Source, advertised: Advertised
    ) -> AbstractContextManager[Path]:
        root = self.root / "mirrors"
        return current_mirror(git, source, advertised, root=root, lock_timeout=self.git_timeout)

    def _unused_id(self, workspace_id: str) -> str:
        """Return a similar id that no workspace here has."""
        stem = re.sub(r"-\d+$", "", workspace_id)[:58]
        numbered = (f"{stem}-{number}" for number in count(2))
        return next(name for name in numbered if not self._path_of(name).exists())

    def _write_record(self, workspace_id: str, base: str | None, source: Source | None) -> None:
        repo = source.display_url if source else None
        record = WorkspaceRecord(base_commit=base, repo=repo)
        write_record(record_path(self.root, workspace_id), record)

    def _describe(self, git: Git, workspace_id: str) -> Workspace:
        path = self._path_of(workspace_id)
        record = read_record(record_path(self.root, workspace_id))
        return Workspace(
            id=workspace_id,
            path=path,
            branch=worktree.branch_of(git, path),
            base_commit=record.base_commit,
            repo=record.repo,
        )


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
