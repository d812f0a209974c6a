"""Bundles of the work that a workspace has and its repository lacks.

Creating one does not change the workspace.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from core.domain.runs.work.carried_work import Bundle, BundleTooLarge
from core.workspace.command import Git
from core.workspace.work.references import branch_files, branches_of
from core.workspace.work.untrusted_files import read_small
from core.workspace.work.worktree import WorkTree, branch_of, head_of, open_worktree

log = logging.getLogger(__name__)

MAX_BUNDLE_BYTES = 25_000_000
# The commit at which the run started.  An agent that amends or rebases drops it from its branch.
START_REF = "refs/signalbox/start"
# A bundle is at most this many times smaller than its objects on disk.
_MAX_COMPRESSION_RATIO = 4
# Limits git's memory while it packs, even for very large files.
_LOW_MEMORY_CONFIG = {
    "core.bigFileThreshold": "16m",
    "pack.windowMemory": "64m",
    "pack.threads": "1",
    "pack.writeBitmapHashCache": "false",
}


def create_bundle(
    git: Git,
    path: Path,
    *,
    since: str | None,
    saved: str | None,
    start: str | None,
    max_bytes: int,
    private: Mapping[str, str] = MappingProxyType({}),
    is_always: bool = False,
) -> Bundle | None:
    """Bundle all branches, HEAD, and the saved work tree; `None` if there is nothing to carry.

    Args:
        git: Runs the commands.
        path: The workspace.
        since: The commit up to which the repository has everything; `None` if it has nothing.
        saved: A commit of the whole work tree, as `save` makes it.
        start: A commit to include even if no branch contains it any more.
        max_bytes: The largest bundle to return.
        private: Further references of Signalbox's own to include.
        is_always: Whether to return a bundle, without data, even if the repository has all
            commits; `None` then means that there is no commit.

    Raises:
        BundleTooLarge: If the bundle would be larger than `max_bytes`.
        WorkspaceError: If the workspace's repository is gone or damaged.
    """
    head, branch = head_of(git, path), branch_of(git, path)
    with open_worktree(git, path, known_id=head) as tree:
        references = tree.existing(
            {**private, **branches_of(git, path), **({START_REF: start} if start else {})}
        )
        base = since if since is not None and tree.has_commit(since) else None
        if saved is not None and head is not None and _has_same_tree(tree, saved, head):
            saved = None
        commits = sorted({*references.values(), *(commit for commit in (head, saved) if commit)})
        if not commits:
            return None
        known = [base] if base else []
        size = bundle_size(tree, commits, known, max_bytes=max_bytes)
        if size == 0 and saved is None and head == since and not is_always:
            return None
        return Bundle(
            data=write_bundle(tree, commits, known, max_bytes) if size else b"",
            branch=branch,
            base_commit=base,
            head_commit=head,
            saved_commit=saved,
            references=references,
        )


def read_head_state(path: Path) -> str:
    """Return a text that changes when a commit is made on any branch, without running git.

    It is empty if HEAD cannot be read as a plain file.  The agent may have replaced the files by
    anything (a link, a pipe), so they are opened without following or waiting.
    """
    head = read_small(path, ".git/HEAD")
    if not head:
        return ""
    names = (".git/packed-refs", *branch_files(path))
    return "\n".join([head, *(f"{name} {read_small(path, name)}" for name in names)])


def _has_same_tree(tree: WorkTree, first: str, second: str) -> bool:
    trees = tree.run("rev-parse", f"{first}^{{tree}}", f"{second}^{{tree}}").split()
    return trees[0] == trees[1]


def bundle_size(
    tree: WorkTree, commits: Sequence[str], known: Sequence[str], *, max_bytes: int
) -> int:
    """The size on disk of what a bundle of these commits would have, in bytes.

    Args:
        tree: The work tree.
        commits: The commits to bundle.
        known: Commits that are left out, with all that they have.
        max_bytes: The largest bundle.

    Raises:
        BundleTooLarge: If that is so much that no compression makes it fit.
    """
    revisions = [*commits, *_without(known)]
    stdin = "".join(f"{commit}\n" for commit in revisions).encode()
    size = int(tree.run("rev-list", "--objects", "--disk-usage", "--stdin", stdin=stdin))
    if size > max_bytes * _MAX_COMPRESSION_RATIO:
        raise BundleTooLarge(size, max_bytes)
    return size


def write_bundle(
    tree: WorkTree, commits: Sequence[str], known: Sequence[str], max_bytes: int
) -> bytes:
    """Write a bundle of commits and read it.  Its references live in the private git directory.

    Raises:
        BundleTooLarge: If it is larger than `max_bytes`.
    """
    private_dir = Path(tree.env["GIT_DIR"])
    names = [f"refs/carried/{number}" for number in range(len(commits))]
    # Nobody else sees the private directory, so its references need no process of git.
    (private_dir / "refs" / "carried").mkdir(exist_ok=True)
    for name, commit in zip(names, commits, strict=True):
        (private_dir / name).write_text(f"{commit}\n")
    file = private_dir / "carried.bundle"
    tree.git.run(
        "bundle", "create", "--quiet", str(file), *names, *_without(known),
        cwd=tree.path, env=tree.env, settings=_LOW_MEMORY_CONFIG,
    )  # fmt: skip
    size = file.stat().st_size
    if size > max_bytes:
        raise BundleTooLarge(size, max_bytes)
    return file.read_bytes()


def _without(known: Sequence[str]) -> Iterator[str]:
    """The arguments that leave out commits with all that they have."""
    for commit in known:
        yield f"^{commit}"
        # Git leaves out the files of a commit only if it is an ancestor.
        yield f"^{commit}^{{tree}}"
