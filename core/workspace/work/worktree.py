"""The work tree of an agent, read without changing anything that the agent sees.

The agent can write every file of its workspace, including `.git/config`, and git's configuration
can name programs to run.  So the work tree is read through a private git directory that shares
only the workspace's objects; no filter, hook or driver that the agent chose is run.  Where agents
are isolated, git is confined as well (see `Git`): it sees nothing but the workspace.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from core.workspace.command import Git
from core.workspace.errors import DamagedRepository, GitFailed, WorkspaceError
from core.workspace.work.untrusted_files import (
    MAX_SMALL_BYTES,
    copy_untrusted,
    list_folders,
    read_small,
)

log = logging.getLogger(__name__)

# What git reads of a repository, and what makes it read elsewhere.
_READ_FILES = ("HEAD", "config", "config.worktree", "index", "packed-refs", "shallow")
_READ_FOLDERS = ("info", "logs", "objects", "refs")
_POINTER_FILES = ("commondir", "gitdir", "objects/info/alternates", "objects/info/http-alternates")
# Git removes the folders of deleted branches.
_MAX_EMPTY_FOLDERS = 20
# Git packs objects long before there are so many.
_MAX_REPOSITORY_FILES = 500_000
# An index has about 100 bytes a file; a list of ignored names is written by hand.
_MAX_INDEX_BYTES = 200_000_000
_MAX_EXCLUDE_BYTES = 1_000_000
_SHA256_DIGITS = 64
# Without these an index has no nested repository: the mode of one, as all versions of the index
# store it, and the extensions of a sparse and a split index, whose entries are partly elsewhere.
_NESTED_MARKS = ((0o160000).to_bytes(4, "big"), b"sdir", b"link")
_EMPTY_TREES = MappingProxyType(
    {
        "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
    }
)
_PLAIN_HEAD = re.compile(r"ref: refs/heads/([A-Za-z0-9][A-Za-z0-9._/-]*)\n")
# Names that git refuses, and what stands for HEAD in other reference formats.
_ODD_NAME = re.compile(r"\.\.|//|/\.|/$|\.$|\.lock(/|$)|^\.invalid$")
# Saving is done while somebody waits: objects are stored as they are, and large files are streamed.
_FAST_ADD_CONFIG = {
    "core.looseCompression": "0",
    "pack.compression": "0",
    "core.bigFileThreshold": "32m",
}


@dataclass(frozen=True)
class WorkTree:
    """A workspace's files and objects, seen through a private git directory.

    Attributes:
        path: The workspace.
        git: Runs the commands.
        env: Makes git use the private directory and the workspace's objects.
        object_format: How the repository hashes: `sha1` or `sha256`.
    """

    path: Path
    git: Git
    env: Mapping[str, str]
    object_format: str

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        settings: Mapping[str, str] | None = None,
        accept: Collection[int] = (0,),
        first_bytes: int | None = None,
    ) -> bytes:
        """Run a git command on the workspace's objects and files."""
        return self.git.run(
            *arguments,
            cwd=self.path,
            env=self.env,
            stdin=stdin,
            settings=settings,
            accept=accept,
            first_bytes=first_bytes,
        )

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
        self._forget_nested_repositories()
        try:
            self.run("add", "--all", "--ignore-errors", "--", ".", settings=_FAST_ADD_CONFIG)
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

    def _forget_nested_repositories(self) -> None:
        """Remove nested repositories from the private index, to which `git add` returns them.

        For one that is in the index already, `git add` would run `git status` inside it, with its
        own configuration and thus with the filters that the agent chose.
        """
        index = Path(self.env["GIT_INDEX_FILE"])
        content = index.read_bytes() if index.exists() else b""
        if not any(mark in content for mark in _NESTED_MARKS):
            return
        entries = self.run("ls-files", "-z", "--stage").split(b"\0")
        nested = [entry.partition(b"\t")[2] for entry in entries if entry.startswith(b"160000 ")]
        if nested:
            paths = b"".join(path + b"\0" for path in nested)
            self.run("update-index", "-z", "--force-remove", "--stdin", stdin=paths)

    @property
    def empty_tree(self) -> str:
        """The id of the tree without files, which git knows without storing it."""
        return _EMPTY_TREES[self.object_format]

    def tree_of(self, commit: str) -> str:
        """Return the tree of a commit."""
        return self.run("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()

    def has_commit(self, commit: str) -> bool:
        """Return whether a commit exists."""
        answer = self.run("cat-file", "--batch-check=%(objecttype)", stdin=f"{commit}\n".encode())
        return answer.strip() == b"commit"

    def existing(self, references: Mapping[str, str]) -> dict[str, str]:
        """Return the references whose commit exists."""
        if not references:
            return {}
        stdin = "".join(f"{commit}\n" for commit in references.values()).encode()
        answer = self.run("cat-file", "--batch-check=%(objecttype)", stdin=stdin)
        return {
            name: commit
            for (name, commit), kind in zip(
                references.items(), answer.decode().splitlines(), strict=True
            )
            if kind == "commit"
        }


def require_own_repository(path: Path) -> None:
    """Check that a workspace's repository is in the workspace; one that is gone is fine, too.

    An agent can put links or alternates into `.git` that lead to another run's repository, which
    the worker could read, or to a file, which git would write.  Nothing may be working in the
    workspace, or git must be confined.

    Raises:
        WorkspaceError: If something of it is elsewhere, or is no plain file.
    """
    git_dir = path / ".git"
    foreign = [one for one in (git_dir, *map(git_dir.joinpath, _READ_FILES)) if one.is_symlink()]
    foreign += [git_dir / name for name in _POINTER_FILES if os.path.lexists(git_dir / name)]
    if git_dir.is_file() or foreign:
        raise _leads_elsewhere(path, foreign[0] if foreign else git_dir)
    remaining = _MAX_REPOSITORY_FILES
    folders = [git_dir / name for name in _READ_FOLDERS]
    while folders:
        folder = folders.pop()
        if folder.is_symlink():
            raise _leads_elsewhere(path, folder)
        for entry in _list_folder(folder):
            remaining -= 1
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False) or remaining < 0:
                raise _leads_elsewhere(path, Path(entry.path))


def _list_folder(folder: Path) -> Iterator[os.DirEntry[str]]:
    # The agent's git may remove a folder meanwhile.
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        yield from entries


def _leads_elsewhere(path: Path, part: Path) -> WorkspaceError:
    name = part.relative_to(path)
    return WorkspaceError(
        f"{path} has a repository that leads elsewhere: {name}",
        user_message="The workspace's repository leads out of the workspace or cannot be read "
        f"safely (`{name}` is a link, names another folder, or is no plain file), so it is not "
        "read. The files are still on the worker. Start a new run.",
    )


def head_of(git: Git, path: Path) -> str | None:
    """Return the commit checked out; `None` if there is no commit yet."""
    require_own_repository(path)
    if is_surely_empty(path, "refs/heads/") and _plain_branch(path) is not None:
        return None
    env = workspace_env(path)
    found = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}",
                    cwd=path, env=env, accept=(0, 1, 128))  # fmt: skip
    return found.decode().strip() or None


def require_usable(git: Git, path: Path) -> None:
    """Check that git can work in a workspace: with a commit checked out, or with none yet.

    Raises:
        DamagedRepository: If its repository is gone, damaged, or leads elsewhere.
    """
    try:
        if head_of(git, path) is not None:
            return
        env = workspace_env(path)
        # Of a branch without a commit there is a name, and no reference.
        name = git.run("symbolic-ref", "--quiet", "HEAD", cwd=path, env=env)
        git.run("show-ref", "--verify", "--quiet", name.decode().strip(), cwd=path, env=env,
                accept=(1,))  # fmt: skip
    except GitFailed as error:
        if error.status is None or error.status < 0 or error.is_disk_error:
            raise
        raise DamagedRepository(path.name, str(error)) from error
    except WorkspaceError as error:
        raise DamagedRepository(path.name, str(error)) from error


def branch_of(git: Git, path: Path) -> str | None:
    """Return the branch checked out; `None` if HEAD is detached."""
    require_own_repository(path)
    plain = _plain_branch(path)
    if plain is not None:
        return plain
    found = git.run("symbolic-ref", "--quiet", "HEAD", cwd=path, env=workspace_env(path),
                    accept=(0, 1, 128))  # fmt: skip
    return found.decode(errors="replace").strip().removeprefix("refs/heads/") or None


def _plain_branch(path: Path) -> str | None:
    """The branch that the file HEAD names.

    `None` in special cases: a detached HEAD, another reference format, an odd name.
    """
    plain = _PLAIN_HEAD.fullmatch(read_small(path, ".git/HEAD"))
    return plain[1] if plain is not None and not _ODD_NAME.search(plain[1]) else None


def is_surely_empty(path: Path, prefix: str) -> bool:
    """Whether no reference below `prefix` exists, as the files of the repository show.

    It saves a process in new repositories.  In every special case it is `False`, and git is asked.

    Args:
        path: The workspace.
        prefix: For example `refs/heads/`.
    """
    git_dir = path / ".git"
    elsewhere = ("packed-refs", "reftable", "commondir")
    if any(os.path.lexists(git_dir / name) for name in elsewhere):
        return False
    folders = [prefix.rstrip("/")]
    for _ in range(_MAX_EMPTY_FOLDERS):
        if not folders:
            return True
        folder = folders.pop()
        names = list_folders(path, f".git/{folder}")
        if names is None:
            return False
        folders += [f"{folder}/{name}" for name in names]
    return False


@contextmanager
def open_worktree(git: Git, path: Path, *, known_id: str | None) -> Iterator[WorkTree]:
    """Open a workspace through a private git directory, which is removed after the block.

    Args:
        git: Runs the commands.
        path: The workspace.
        known_id: Any object of the repository, which tells how it hashes; `None` if none is known.

    Raises:
        WorkspaceError: If the workspace's repository is gone or damaged.
    """
    require_own_repository(path)
    object_format = _object_format(git, path, known_id)
    with tempfile.TemporaryDirectory(
        prefix="signalbox-", dir=git.temporary_dir, ignore_cleanup_errors=True
    ) as temporary_dir:
        private_dir = Path(temporary_dir) / "git"
        make_bare(private_dir, object_format)
        git_dir = path / ".git"
        # With a copy of the agent's index git reads only files that have changed.
        if not list(git_dir.glob("sharedindex.*")):
            copy_untrusted(path, ".git/index", private_dir / "index", max_bytes=_MAX_INDEX_BYTES)
        exclude = private_dir / "info" / "exclude"
        copy_untrusted(path, ".git/info/exclude", exclude, max_bytes=_MAX_EXCLUDE_BYTES)
        env = {
            "GIT_DIR": str(private_dir),
            "GIT_WORK_TREE": str(path),
            "GIT_OBJECT_DIRECTORY": str(git_dir / "objects"),
            "GIT_INDEX_FILE": str(private_dir / "index"),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        if (git_dir / "shallow").is_file():
            env["GIT_SHALLOW_FILE"] = str(git_dir / "shallow")
        yield WorkTree(path, git, env, object_format)


def _object_format(git: Git, path: Path, known_id: str | None) -> str:
    if known_id is not None:
        return "sha256" if len(known_id) == _SHA256_DIGITS else "sha1"
    config = read_small(path, ".git/config")
    if 0 < len(config) < MAX_SMALL_BYTES and "extensions" not in config.lower():
        return "sha1"
    try:
        return git.run_text("rev-parse", "--show-object-format", cwd=path, env=workspace_env(path))
    except GitFailed as error:
        raise DamagedRepository(path.name, str(error)) from error


def make_bare(private_dir: Path, object_format: str) -> None:
    """Create a bare repository, without a process for it."""
    for name in ("objects", "refs", "info"):
        (private_dir / name).mkdir(parents=True)
    (private_dir / "HEAD").write_text("ref: refs/heads/main\n")
    (private_dir / "config").write_text(
        "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n"
        f"[extensions]\n\tobjectFormat = {object_format}\n"
    )


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
