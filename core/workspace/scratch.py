"""What is made for a moment: it bears its owner's name, and goes when its owner is dead.

A process that is killed removes nothing.  So everything temporary is under `<home>/tmp`, or
beside what it is to become, named after its owner; a lock says whether the owner lives.
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
# The owner may be missing: earlier versions did not name it.
_STAGED_NAME = re.compile(rf"\.[A-Za-z0-9][A-Za-z0-9_-]*\.(?:({_OWNER_PATTERN})-)?[0-9a-f]{{8}}")
_OWNER_NAME = re.compile(_OWNER_PATTERN)


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """A living process's place for what it needs for a moment.

    Attributes:
        owner: Names the process; no two have the same.
        folder: For its temporary files.
    """

    owner: str
    folder: Path


@contextmanager
def open_scratch(home: Path) -> Iterator[Scratch]:
    """A folder under `<home>/tmp`, and a lock beside it that is held until the end."""
    tmp_dir = home / "tmp"
    tmp_dir.mkdir(parents=True, exist_ok=True)
    while True:
        owner = f"worker-{uuid4().hex[:12]}"
        path = tmp_dir / f"{owner}.lock"
        with path.open("w") as lock:
            if not _try_lock(lock.fileno()) or not path.exists():
                continue  # Somebody who clears away took the file before it was locked.
            folder = tmp_dir / owner
            folder.mkdir(mode=0o700)
            try:
                yield Scratch(owner=owner, folder=folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                path.unlink(missing_ok=True)
            return


def staging_path(path: Path, scratch: Scratch | None) -> Path:
    """Where, beside `path`, to make what it is to be."""
    owner = f"{scratch.owner}-" if scratch is not None else ""
    return path.with_name(f".{path.name}.{owner}{uuid4().hex[:8]}")


def remove_abandoned(home: Path) -> list[str]:
    """Remove what dead processes had for a moment.  Blocking.

    Safe beside living ones, also those that start meanwhile: what is there is seen first, and
    who lives is asked after.

    Returns:
        What was removed, by name.
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
            log.warning("%s could not be removed as a whole", path)
        removed.append(path.name)
    return removed


def _find_temporary(home: Path) -> Iterator[tuple[Path, str | None]]:
    """All that was made for a moment, with its owner's name."""
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
    """Owners whose lock is held; the locks of the others are removed."""
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
    """Whether a lock is free, and so had until the file is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
