"""Commands and files of an ordinary user, for tests that root runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# `nobody` on most systems.  No account needs to exist.
UID = 65534

_UID_OPTIONS = (f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
_OPEN_PYTHON = (
    'mount --bind "$1" /mnt && mount -t tmpfs -o mode=755 tmpfs "$0" && mkdir -p "$1"'
    ' && mount --move /mnt "$1" && shift && exec "$@"'
)


def _with_python() -> tuple[str, ...]:
    """A command that runs another one where this Python is within reach of every user.

    Root's Python may be in a folder that only root may enter.  A mount namespace then has a copy
    of this folder, which holds nothing but the Python and is open.
    """
    python = Path(sys.base_prefix)
    closed = [path for path in (python, *python.parents) if not path.stat().st_mode & 0o001]
    if not closed:
        return ()
    return ("unshare", "--mount", "sh", "-c", _OPEN_PYTHON, str(closed[-1]), str(python))


# A command that runs another one as the ordinary user.
AS_ORDINARY_USER = (*_with_python(), "setpriv", *_UID_OPTIONS)


def as_ordinary_user(command: Iterable[str]) -> list[str]:
    """Return the command that runs `command` as the ordinary user, by bubblewrap.

    Unlike with `AS_ORDINARY_USER`, this repository and its virtual environment may be in root's
    home, too.  Without root the command is returned as it is.
    """
    if os.geteuid() != 0:
        return list(command)
    repository = Path(__file__).resolve().parent.parent
    needed = {Path(sys.prefix), Path(sys.base_prefix), repository}
    home = Path("/root")
    view = ["--dev-bind", "/", "/"]
    inside = sorted(path for path in needed if path.is_relative_to(home))
    if inside:
        view += ["--perms", "0755", "--tmpfs", str(home)]
        for path in inside:
            for parent in reversed(path.relative_to(home).parents[:-1]):
                view += ["--perms", "0755", "--dir", str(home / parent)]
            view += ["--bind", str(path), str(path)]
    return [shutil.which("bwrap") or "bwrap", *view, "--", "setpriv", *_UID_OPTIONS, *command]


def _can_become() -> bool:
    try:
        done = subprocess.run((*AS_ORDINARY_USER, "true"), check=False, timeout=30)
    except OSError:
        return False
    return done.returncode == 0


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not _can_become(),
    reason="only root can become another user, with setpriv (and perhaps unshare)",
)


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that belongs to the ordinary user."""
    # Not pytest's own directory: only root may enter it.
    folder = Path(tempfile.mkdtemp(prefix="sbuser-"))
    os.chown(folder, UID, UID)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the system as the ordinary user, to its end."""
    return subprocess.run(
        ("setpriv", *_UID_OPTIONS, *command),
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )
