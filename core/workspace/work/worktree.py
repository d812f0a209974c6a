"""The work tree of an agent, read without changing anything that the agent sees.

The agent can write every file of its workspace, including `.git/config`, and git's configuration
can name programs to run.  So the work tree is read through a private git directory that shares
only the workspace's objects; no filter, hook or driver that the agent chose is run.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.workspace.command import Git
from core.workspace.errors import GitFailed, WorkspaceError

log = logging.getLogger(__name__)

# What git reads of a repository, and what makes it read elsewhere.
_REPOSITORY_PARTS = (
    "HEAD", "config", "index", "info", "logs", "objects", "objects/info", "objects/pack",
    "packed-refs", "refs", "refs/heads", "refs/signalbox", "shallow",
)  # fmt: skip
_POINTER_FILES = ("commondir", "gitdir", "objects/info/alternates", "objects/info/http-alternates")


@dataclass(frozen=True)
class WorkTree:
    """A workspace's files and objects, seen through a private git directory.

    Attributes:
        path: The workspace.
        git: Runs the commands.
        env: Makes git use the private directory and the workspace's objects.
    """

    path: Path
    git: Git
    env: Mapping[str, str]

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run a git command on the workspace's objects and files."""
        return self.git.run(*arguments, cwd=self.path, env=self.env, stdin=stdin)

    def write_tree(self) -> str:
        """Write all files that are not ignored as a tree object, and return its id.

        A file that cannot be read keeps its state of the index.  A broken index is replaced.
        """
        try:
            self._add()
        except GitFailed as error:
            if error.is_disk_error:
                raise
            Path(self.env["GIT_INDEX_FILE"]).unlink(missing_ok=True)
            head = head_of(self.git, self.path)
            if head is not None:
                self.run("read-tree", head)
            self._add()
        return self.run("write-tree").decode().strip()

    def _add(self) -> None:
        try:
            self.run("add", "--all", "--ignore-errors", "--", ".")
        except GitFailed as error:
            # Status 1: some files could not be added, the others were.
            if error.status != 1 or error.is_disk_error:
                raise
            log.warning(
                "some files of %s are left out: %s",
                self.path.name,
                error,
                extra={"event": "workspace_files.skipped", "workspace_id": self.path.name},
            )

    def empty_tree(self) -> str:
        """Return the id of the tree without files."""
        return self.run("mktree").decode().strip()

    def has_commit(self, commit: str) -> bool:
        """Return whether a commit exists."""
        answer = self.run("cat-file", "--batch-check=%(objecttype)", stdin=f"{commit}\n".encode())
        return answer.strip() == b"commit"


def require_own_repository(path: Path) -> None:
    """Check that a workspace's repository is in the workspace; one that is gone is fine, too.

    An agent can put links or alternates into `.git` that lead to another run's repository, which
    the worker could read.  Nothing may be working in the workspace, or git must be confined.

    Raises:
        WorkspaceError: If something of it is elsewhere.
    """
    git_dir = path / ".git"
    suspects = [git_dir, *(git_dir / name for name in _REPOSITORY_PARTS)]
    elsewhere = [one for one in suspects if one.is_symlink()]
    elsewhere += [git_dir / name for name in _POINTER_FILES if os.path.lexists(git_dir / name)]
    if git_dir.is_file() or elsewhere:
        names = ", ".join(str(one.relative_to(path)) for one in elsewhere) or ".git"
        raise WorkspaceError(
            f"{path} has a repository that leads elsewhere: {names}",
            user_message="The workspace's repository leads out of the workspace, so it is not "
            f"read (`{names}` is a link or names another folder). The files are still on the "
            "worker. Start a new run.",
        )


def head_of(git: Git, path: Path) -> str | None:
    """Return the commit checked out; `None` if there is no commit yet."""
    require_own_repository(path)
    env = workspace_env(path)
    found = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}",
                    cwd=path, env=env, accept=(0, 1, 128))  # fmt: skip
    return found.decode().strip() or None


def branch_of(git: Git, path: Path) -> str | None:
    """Return the branch checked out; `None` if HEAD is detached."""
    require_own_repository(path)
    found = git.run("symbolic-ref", "--quiet", "HEAD", cwd=path, env=workspace_env(path),
                    accept=(0, 1, 128))  # fmt: skip
    return found.decode(errors="replace").strip().removeprefix("refs/heads/") or None


@contextmanager
def open_worktree(git: Git, path: Path) -> Iterator[WorkTree]:
    """Open a workspace through a private git directory, which is removed after the block.

    Raises:
        WorkspaceError: If the workspace's repository is gone or damaged.
    """
    git_dir = path / ".git"
    require_own_repository(path)
    try:
        output = git.run_text("rev-parse", "--path-format=absolute", "--git-path", "objects",
                        "--git-path", "shallow", "--git-path", "index",
                        "--git-path", "info/exclude", "--show-object-format",
                        cwd=path, env=workspace_env(path))  # fmt: skip
    except GitFailed as error:
        raise WorkspaceError(
            f"no repository in {path}",
            user_message="The workspace is no longer a git repository: its `.git` is gone or "
            "damaged. Start a new run; the files are still on the worker.",
        ) from error
    objects, shallow, index, exclude, kind = output.split("\n")
    with tempfile.TemporaryDirectory(
        prefix="signalbox-", dir=git.temporary_dir, ignore_cleanup_errors=True
    ) as temporary_dir:
        private_dir = Path(temporary_dir) / "git"
        git.run(
            *("init", "--quiet", "--bare", "--template=", f"--object-format={kind}"),
            str(private_dir),
            cwd=Path(temporary_dir),
        )
        # With a copy of the agent's index git reads only files that have changed.
        if Path(index).is_file() and not list(git_dir.glob("sharedindex.*")):
            shutil.copyfile(index, private_dir / "index")
        if Path(exclude).is_file():
            (private_dir / "info").mkdir(exist_ok=True)
            shutil.copyfile(exclude, private_dir / "info" / "exclude")
        env = {
            "GIT_DIR": str(private_dir),
            "GIT_WORK_TREE": str(path),
            "GIT_OBJECT_DIRECTORY": objects,
            "GIT_INDEX_FILE": str(private_dir / "index"),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        if Path(shallow).is_file():
            env["GIT_SHALLOW_FILE"] = shallow
        yield WorkTree(path, git, env)


def workspace_env(path: Path) -> dict[str, str]:
    """The variables for commands on the workspace's own repository.

    With them git never searches in parent directories.
    """
    return {
        "GIT_DIR": str(path / ".git"),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        # Otherwise git would fetch missing objects from the address, and with the program, that
        # the agent's configuration names.
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
    }
