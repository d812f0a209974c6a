"""Processes that see other disks, and number their processes anew, as a container's do."""

from __future__ import annotations

import subprocess
from pathlib import Path

_RUN_ON_TMPFS = 'mount -t tmpfs tmpfs "$1" && cp -r "$0"/. "$1" && shift && exec "$@"'


def can_unshare(*namespaces: str) -> bool:
    """Whether this machine lets us make namespaces of these kinds."""
    try:
        done = subprocess.run(
            ("unshare", *namespaces, "true"), check=False, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def with_own_disk(home: Path, *, copy_from: Path) -> tuple[str, ...]:
    """A command that runs another one where `home` is on another disk, among its own processes.

    The hostname stays what it is.  All of it ends when the command is killed.

    Args:
        home: A folder; there it is another.
        filled_from: What is copied into that one first.
    """
    return (
        *("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"),
        *("sh", "-c", _RUN_ON_TMPFS, str(copy_from), str(home)),
    )
