"""The references of a workspace: its branches, and what its worktrees and remotes have.

An agent can put anything into `.git`, so files are opened without following links or waiting, and
lists are bounded.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from core.workspace.command import Git
from core.workspace.work.untrusted_files import open_untrusted, read_small
from core.workspace.work.worktree import branch_of, head_of, is_surely_empty, workspace_env

HEADS = "refs/heads/"
_REMOTES = "refs/remotes/"
_MAX_BRANCHES = 200
_MAX_REMOTE_BRANCHES = 5_000
_MAX_WORKTREES = 50
_MAX_LOG_BYTES = 65_536
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BY_PUSH = b"update by push"


def branches_of(git: Git, path: Path) -> dict[str, str]:
    """Return the local branches: full name to commit, 200 at most."""
    return _list(git, path, HEADS, _MAX_BRANCHES)


def start_state(git: Git, path: Path) -> tuple[str | None, dict[str, str]]:
    """Return the commit checked out, `None` if there is none yet, and the local branches."""
    branches, branch = branches_of(git, path), branch_of(git, path)
    # A branch without a commit is not listed, nor is one whose name is not UTF-8.
    return branches.get(f"{HEADS}{branch}") or head_of(git, path), branches


def branch_files(path: Path) -> list[str]:
    """The files of branches below a workspace, 200 at most.  Packed branches have none."""
    found: list[str] = []
    folders = [f".git/{HEADS.rstrip('/')}"]
    while folders and len(found) < _MAX_BRANCHES:
        name = folders.pop()
        with contextlib.suppress(OSError), os.scandir(path / name) as entries:
            if (path / name).is_symlink():
                continue
            for entry in sorted(entries, key=lambda one: one.name):
                inner = f"{name}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(inner)
                else:
                    found.append(inner)
    return found[:_MAX_BRANCHES]


def detached_heads(path: Path) -> Iterator[str]:
    """The commits that linked worktrees have checked out on no branch."""
    for name in worktree_names(path):
        text = read_small(path, f".git/worktrees/{name}/HEAD").strip()
        if _COMMIT.fullmatch(text):
            yield text


def worktree_names(path: Path) -> list[str]:
    """The names of the linked worktrees, 50 at most."""
    folder = path / ".git" / "worktrees"
    if folder.is_symlink() or not folder.is_dir():
        return []
    with contextlib.suppress(OSError):
        return sorted(entry.name for entry in folder.iterdir())[:_MAX_WORKTREES]
    return []


def fetched_tips(git: Git, path: Path) -> set[str]:
    """The commits that remote-tracking branches got by a clone or a fetch, not by a push."""
    tips = set()
    for name, commit in _list(git, path, _REMOTES, _MAX_REMOTE_BRANCHES).items():
        tip = _before_pushes(path, name)
        tips.add(commit if tip is None else tip)
    return {tip for tip in tips if _COMMIT.fullmatch(tip)}


def _before_pushes(path: Path, name: str) -> str | None:
    """The commit before the newest pushes; empty if all are pushes, `None` if no log says."""
    file = open_untrusted(path, f".git/logs/{name}")
    if file is None:
        return None
    with file:
        file.seek(max(os.fstat(file.fileno()).st_size - _MAX_LOG_BYTES, 0))
        lines = file.read(_MAX_LOG_BYTES).splitlines()
    old = ""
    for line in reversed(lines):
        # "<old> <new> <who and when>\t<why>"
        values = line.partition(b"\t")[0].decode(errors="replace").split(" ", 2)
        if len(values) < 2:
            return None
        if not line.endswith(_BY_PUSH):
            return values[1]
        old = values[0]
    return old if old.strip("0") else ""


def _list(git: Git, path: Path, prefix: str, count: int) -> dict[str, str]:
    if is_surely_empty(path, prefix):
        return {}
    listed = git.run(
        "for-each-ref", "--format=%(objectname) %(refname)", f"--count={count}", prefix,
        cwd=path, env=workspace_env(path), accept=(0, 128),
    )  # fmt: skip
    found: dict[str, str] = {}
    for line in listed.splitlines():
        commit, _, name = line.partition(b" ")
        # A database row cannot store a name that is not UTF-8.
        with contextlib.suppress(UnicodeDecodeError):
            found[name.decode()] = commit.decode()
    return found
