"""Where workspaces are on this disk: for each its folder, its record and its lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from core.workspace.command import Git
from core.workspace.errors import WorkspaceError
from core.workspace.locks import file_lock
from core.workspace.records import WorkspaceRecord, read_record, record_path, write_record
from core.workspace.source import Source
from core.workspace.work.worktree import branch_of

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


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


@dataclass(frozen=True)
class WorkspaceFolders:
    """The workspaces below one root, by id."""

    root: Path

    def require_valid(self, workspace_id: str) -> None:
        """Check that an id can be the name of a folder.

        Raises:
            WorkspaceError: If it cannot.
        """
        if not _ID.fullmatch(workspace_id):
            raise WorkspaceError(
                f"workspace id {workspace_id[:80]!r}",
                user_message="The workspace's id is not valid. Start a new run.",
            )

    def path_of(self, workspace_id: str) -> Path:
        """Return the folder of a workspace, whether or not it is there.

        Raises:
            WorkspaceError: If the id is not valid.
        """
        self.require_valid(workspace_id)
        return self.root / "workspaces" / workspace_id

    def is_taken(self, workspace_id: str) -> bool:
        """Whether the folder is on this disk, with or without a repository.  Blocking."""
        path = self.path_of(workspace_id)
        return path.is_symlink() or path.exists()

    def unused_id(self, workspace_id: str) -> str:
        """Return a similar id that no workspace here has."""
        stem = _stem(workspace_id)[:58]
        numbered = (f"{stem}-{number}" for number in count(2))
        return next(name for name in numbered if not self.path_of(name).exists())

    @contextmanager
    def lock(self, git: Git, workspace_id: str) -> Iterator[None]:
        """Hold the lock of a workspace, which is a file beside its record.  Blocking.

        Raises:
            WorkspaceError: If others hold it for longer than git's timeout, or `git` is stopped.
        """
        record = record_path(self.root, workspace_id)
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file_lock(
            record.with_suffix(".lock"), timeout=git.timeout, is_cancelled=lambda: git.is_stopped
        ):
            yield

    def use_lock(self, workspace_id: str) -> Path:
        """The file that is locked while a run works in a session's workspace, or it is removed.

        The copies of one session (`ws_…-2`) share it.  Blocking.
        """
        self.require_valid(workspace_id)
        folder = record_path(self.root, workspace_id).parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{_stem(workspace_id)}.use"

    def all_ids(self) -> list[str]:
        """The ids of the workspaces on this disk.  Blocking."""
        folder = self.root / "workspaces"
        names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
        return sorted(name for name in names if _ID.fullmatch(name))

    def write_record(self, workspace_id: str, base: str | None, source: Source | None) -> None:
        """Record what a workspace's repository cannot tell.  Blocking."""
        repo = source.display_url if source else None
        record = WorkspaceRecord(base_commit=base, repo=repo)
        write_record(record_path(self.root, workspace_id), record)

    def describe(self, git: Git, workspace_id: str) -> Workspace:
        """Read a workspace that exists.  Blocking."""
        path = self.path_of(workspace_id)
        record = read_record(record_path(self.root, workspace_id))
        return Workspace(
            id=workspace_id,
            path=path,
            branch=branch_of(git, path),
            base_commit=record.base_commit,
            repo=record.repo,
        )


def _stem(workspace_id: str) -> str:
    """The id without the number of a copy."""
    return re.sub(r"-\d+$", "", workspace_id)
