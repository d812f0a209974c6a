"""Processes in their own mount and pid namespaces, like those of a container."""

from __future__ import annotations

import subprocess
from pathlib import Path

_RUN_ON_TMPFS = 'mount -t tmpfs tmpfs "$1" && cp -r "$0"/. "$1" && shift && exec "$@"'


def can_unshare(*namespaces: str) -> bool:
    """Whether this machine allows namespaces of these kinds."""
    try:
        done = subprocess.run(
            ("unshare", *namespaces, "true"), check=False, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def with_own_disk(home: Path, *, copy_from: Path) -> tuple[str, ...]:
    """A command that runs another one with `home` on another disk, in its own pid namespace.

    The hostname stays the same.  All processes end when the command is killed.

    Args:
        home: A directory that is on another disk for the command.
        copy_from: Contents to copy to that disk first.
    """
    return (
        *("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"),
        *("sh", "-c", _RUN_ON_TMPFS, str(copy_from), str(home)),
    )
