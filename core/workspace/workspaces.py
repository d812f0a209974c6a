"""The directories agents work in: made, found again, looked at and kept."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from core.domain.run import DiffStat
from core.workspace import worktree
from core.workspace.clone import demand_branch, make_clone, make_fresh
from core.workspace.command import Git
from core.workspace.errors import (
    MissingBranch,
    UnreachableRepository,
    WorkspaceError,
    translating_os_errors,
)
from core.workspace.locks import locked
from core.workspace.mirror import look, mirrored
from core.workspace.settings import git_environment
from core.workspace.source import BadRepository, parse_source

__all__ = [
    "BadRepository",
    "MissingBranch",
    "UnreachableRepository",
    "Workspace",
    "WorkspaceError",
    "Workspaces",
]

log = logging.getLogger(__name__)
T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# A repository that belongs to somebody else may be read: nothing of it is run.
_SAFE = "[safe]\n\tdirectory = *\n"


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A directory with a git repository for one session's runs.

    Attributes:
        branch: The branch it is on; `None` if HEAD is detached.
        base_commit: What it was at when it was made; `None` for a repository without commits.
        repo: The repository it was cloned from, as shown to people.
    """

    id: str
    path: Path
    branch: str | None
    base_commit: str | None
    repo: str | None


class Workspaces:
    """All workspaces of this machine; any number of workers may share `root`.

    Every method runs git in a thread; being cancelled ends the git processes it started.

    Args:
        root: Holds `mirrors/`, `workspaces/` and `records/`.
        git_timeout: For one git command; waiting for another run's fetch takes as long again.
        environment: What git sees; by default what `settings` lets through.
    """

    def __init__(
        self, root: Path, *, git_timeout: timedelta, environment: Mapping[str, str] | None = None
    ) -> None:
        self.root = root.expanduser().absolute()
        self.git_timeout = git_timeout
        self.environment = dict(git_environment() if environment is None else environment)

    async def check(self, source: str, branch: str | None = None) -> None:
        """Ask the repository whether it can be read and has the branch; fetch nothing.

        Raises:
            BadRepository: If the text names none.
            WorkspaceError: If it cannot be read, or has no such branch (`MissingBranch`).
        """
        parsed = parse_source(source)

        def ask(git: Git) -> None:
            demand_branch(branch, look(git, parsed, cwd=self.root), parsed)

        await self._in_thread(ask)

    async def prepare(
        self, *, workspace_id: str, source: str | None, branch: str | None, run_branch: str
    ) -> Workspace:
        """Make a workspace: a clone on `run_branch`, or an empty repository without a source.

        Made aside and moved into place as a whole. If it is there already, it is left as it
        is and returned.

        Raises:
            BadRepository: If `source` names no repository.
            WorkspaceError: If it cannot be made.
        """
        path = self._path_of(workspace_id)
        if source is None and branch is not None:
            raise BadRepository(
                "branch without repository",
                user_message="`--branch` needs a `--repo` to take the branch from.",
            )
        parsed = None if source is None else parse_source(source)

        def make(git: Git) -> Workspace:
            record = self._record_of(workspace_id)
            record.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(
                record.with_suffix(".lock"),
                timeout=self.git_timeout,
                is_given_up=lambda: git.is_stopped,
            ):
                if (path / ".git").exists():
                    return self._describe(git, workspace_id)
                for left_over in path.parent.glob(f".{workspace_id}.*"):
                    shutil.rmtree(left_over)
                aside = path.parent / f".{workspace_id}.{uuid4().hex[:8]}"
                try:
                    if parsed is None:
                        make_fresh(git, aside)
                    else:
                        offered = look(git, parsed, cwd=self.root)
                        demand_branch(branch, offered, parsed)
                        with mirrored(
                            git, parsed, offered,
                            root=self.root / "mirrors", patience=self.git_timeout,
                        ) as mirror:  # fmt: skip
                            make_clone(
                                git, aside, mirror=mirror, source=parsed, offered=offered,
                                branch=branch, run_branch=run_branch,
                            )  # fmt: skip
                    record.write_text(
                        json.dumps(
                            {
                                "base_commit": worktree.head_of(git, aside),
                                "repo": parsed.shown if parsed else None,
                            }
                        )
                    )
                    aside.rename(path)
                finally:
                    shutil.rmtree(aside, ignore_errors=True)
                return self._describe(git, workspace_id)

        return await self._in_thread(make)

    async def reopen(self, workspace_id: str) -> Workspace | None:
        """A workspace made before, for a session's next leg; `None` if it is not here.

        Locks that a killed git left behind are removed: nothing may work in it now.
        """
        path = self._path_of(workspace_id)

        def find(git: Git) -> Workspace | None:
            if not (path / ".git").exists():
                return None
            _free(path / ".git")
            return self._describe(git, workspace_id)

        return await self._in_thread(find)

    async def head(self, workspace: Workspace) -> str | None:
        """The commit checked out; `None` before the first."""
        return await self._in_thread(lambda git: worktree.head_of(git, workspace.path))

    async def diff(self, workspace: Workspace, base: str | None) -> DiffStat:
        """What files and commits are beyond `base`, uncommitted and untracked work included.

        `None` as base counts everything. The agent's index, HEAD and files stay untouched.
        """
        return await self._in_thread(lambda git: worktree.diff(git, workspace.path, base))

    async def save(self, workspace: Workspace, label: str) -> Mapping[str, Any]:
        """Commit the work tree on `refs/signalbox/<label>`; index, HEAD and branch stay.

        Ignored files and the inside of nested repositories are left out.
        """
        return await self._in_thread(lambda git: worktree.save(git, workspace.path, label))

    async def _in_thread(self, work: Callable[[Git], T]) -> T:
        git = Git(
            environment=self.environment,
            timeout=self.git_timeout,
            global_config=self._global_config,
        )

        def bounded() -> T:
            with translating_os_errors():
                self._provide()
                return work(git)

        try:
            return await asyncio.to_thread(bounded)
        except asyncio.CancelledError:
            git.stop()
            raise

    @property
    def _global_config(self) -> Path:
        return self.root / "gitconfig"

    def _provide(self) -> None:
        """The root and git's configuration: the worker's own, plus ours."""
        self.root.mkdir(parents=True, exist_ok=True)
        named = self.environment.get("GIT_CONFIG_GLOBAL")
        places = self.environment.get("XDG_CONFIG_HOME") or "~/.config"
        theirs = [named] if named else [f"{places}/git/config", "~/.gitconfig"]
        wanted = "".join(f"[include]\n\tpath = {_quoted(path)}\n" for path in theirs) + _SAFE
        config = self._global_config
        if not config.is_file() or config.read_text() != wanted:
            aside = config.with_name(f"gitconfig.{uuid4().hex[:8]}")
            aside.write_text(wanted)
            aside.rename(config)

    def _path_of(self, workspace_id: str) -> Path:
        if not _ID.fullmatch(workspace_id):
            raise WorkspaceError(
                f"workspace id {workspace_id[:80]!r}",
                user_message="The workspace's id is not valid. Start a new run.",
            )
        return self.root / "workspaces" / workspace_id

    def _record_of(self, workspace_id: str) -> Path:
        return self.root / "records" / f"{workspace_id}.json"

    def _describe(self, git: Git, workspace_id: str) -> Workspace:
        path = self._path_of(workspace_id)
        try:
            known = json.loads(self._record_of(workspace_id).read_text())
        except (FileNotFoundError, ValueError):
            log.warning("workspace %s has no record", workspace_id)
            known = {}
        return Workspace(
            id=workspace_id,
            path=path,
            branch=worktree.branch_of(git, path),
            base_commit=known.get("base_commit"),
            repo=known.get("repo"),
        )


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _free(git_dir: Path) -> None:
    for name in ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock"):
        (git_dir / name).unlink(missing_ok=True)
    for stale in (git_dir / "refs").rglob("*.lock"):
        stale.unlink(missing_ok=True)
