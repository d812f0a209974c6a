"""Temporary files that name the process that owns them, and are removed once it is dead.

A killed process removes nothing.  So everything temporary is under `<home>/tmp`, or beside its
final path, and has the owner's name in its own.  A lock file shows whether the owner is alive.
"""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

log = logging.getLogger(__name__)

_OWNER_PATTERN = r"worker-[0-9a-f]{12}"
# Without an owner: files staged without a `Scratch`.
_STAGED_NAME = re.compile(rf"\.[A-Za-z0-9][A-Za-z0-9_-]*\.(?:({_OWNER_PATTERN})-)?[0-9a-f]{{8}}")
_OWNER_NAME = re.compile(_OWNER_PATTERN)


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The temporary directory of a living process.

    Attributes:
        owner: A name that no other process shares.
        folder: The directory for its temporary files.
    """

    owner: str
    folder: Path


@contextmanager
def open_scratch(home: Path) -> Iterator[Scratch]:
    """Create a directory under `<home>/tmp`, and hold a lock beside it during the block."""
    tmp_dir = home / "tmp"
    tmp_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        owner = f"worker-{uuid4().hex[:12]}"
        path = tmp_dir / f"{owner}.lock"
        with path.open("w") as lock:
            if not _try_lock(lock.fileno()) or not path.exists():
                continue  # A clean-up removed the file before it was locked.
            folder = tmp_dir / owner
            folder.mkdir(mode=0o700)
            try:
                yield Scratch(owner=owner, folder=folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                path.unlink(missing_ok=True)
            return


def staging_path(path: Path, scratch: Scratch | None) -> Path:
    """Return a new path beside `path` at which to build what is then moved there."""
    owner = f"{scratch.owner}-" if scratch is not None else ""
    return path.with_name(f".{path.name}.{owner}{uuid4().hex[:8]}")


def remove_abandoned(home: Path) -> list[str]:
    """Remove the temporary files of dead processes.  Blocking.

    Safe while other processes run or start: the files are listed before the locks are checked, so
    a file listed here belongs to an owner whose lock exists already.

    Returns:
        The names of the removed files and directories.
    """
    found = list(_find_temporary(home))
    living = _live_owners(home / "tmp")
    removed = []
    for path, owner in found:
        if owner in living:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if path.exists():
            log.warning(
                "%s could not be removed as a whole",
                path,
                extra={"event": "scratch.removal_failed", "path": str(path)},
            )
        removed.append(path.name)
    return removed


def _find_temporary(home: Path) -> Iterator[tuple[Path, str | None]]:
    """Find all temporary files and directories, with their owners' names if they have one."""
    for path in _list_dir(home / "tmp"):
        if _OWNER_NAME.fullmatch(path.name):
            yield path, path.name
    for path in (*_list_dir(home / "workspaces"), *home.glob(".gitconfig.*")):
        match = _STAGED_NAME.fullmatch(path.name)
        if match is not None:
            yield path, match[1]


def _list_dir(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _live_owners(tmp_dir: Path) -> set[str]:
    """Return the owners that hold their lock, and remove the lock files of the others."""
    living = set()
    for path in tmp_dir.glob("*.lock"):
        if not _OWNER_NAME.fullmatch(path.stem):
            continue
        with suppress(FileNotFoundError), path.open("r+") as lock:
            if _try_lock(lock.fileno()):
                path.unlink()
            else:
                living.add(path.stem)
    return living


def _try_lock(handle: int) -> bool:
    """Try to take a lock until the file is closed; return False if another process holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
