"""The private index from which the files of a checkpoint are read."""

from __future__ import annotations

import os
from pathlib import Path

from core.workspace.checkpoints.errors import CheckpointTooLarge
from core.workspace.work.worktree import WorkTree

_CACHED, _SKIPPED, _OTHER = b"H", b"S", b"?"


def prepare_index(tree: WorkTree, *, max_bytes: int | None = None) -> None:
    """Make the private index tell every change of the files.

    The agent's index, of which it is a copy, can say of files that they are not to be looked at
    (`assume-unchanged`, `skip-worktree`).  A checkpoint has every file as it is on the disk.

    Args:
        tree: The work tree.
        max_bytes: The most that changed and new files may have together; `None` is no limit.

    Raises:
        CheckpointTooLarge: If they have more.
    """
    listed = tree.run(
        "ls-files", "-z", "-v", "--cached", "--others", "--modified", "--exclude-standard",
        accept=(0, 128),
    )  # fmt: skip
    # Tag, space, path; a small letter marks a file that is assumed to be unchanged.
    lines = [line for line in listed.split(b"\0") if line and line[:1] != _CACHED]
    if not lines:
        return
    assumed = [line[2:] for line in lines if line[:1].islower()]
    skipped = [line[2:] for line in lines if line[:1].upper() == _SKIPPED]
    for option, paths in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)):
        if paths:
            stdin = b"".join(path + b"\0" for path in dict.fromkeys(paths))
            tree.run("update-index", option, "-z", "--stdin", stdin=stdin)
    if max_bytes is not None:
        size = sum(_size_of(tree.path, line[2:]) for line in lines)
        if size > max_bytes:
            raise CheckpointTooLarge(size, max_bytes)


def _size_of(root: Path, path: bytes) -> int:
    # A path with a slash at its end is a nested repository, which is not read.
    if path.endswith(b"/"):
        return 0
    try:
        return os.lstat(os.path.join(os.fsencode(root), path)).st_size  # noqa: PTH118 - bytes
    except OSError:
        return 0
