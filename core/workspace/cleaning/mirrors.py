"""The mirrors of one home: which there are, and the removal of one.  Everything here blocks.

A mirror is a copy of what its repository has, and workspaces do not use it after they are cloned.
So a removed one costs the next run of that repository the time to fetch it again, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.workspace.cleaning.files import disk_bytes
from core.workspace.cleaning.trash import delete_tree, to_trash
from core.workspace.errors import WorkspaceError
from core.workspace.locks import file_lock
from core.workspace.mirror import MIRRORS_FOLDER, fetched_at, lock_of, mirror_name
from core.workspace.source import BadRepository, parse_source

_NO_WAIT = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class FoundMirror:
    """A mirror on this disk.

    Attributes:
        name: The name of its folder.
        used_at: When it was last fetched, which each use of it begins with.
    """

    name: str
    used_at: datetime


def list_mirrors(root: Path) -> list[FoundMirror]:
    """The mirrors of a home, the longest unused first."""
    folder = root / MIRRORS_FOLDER
    found = [
        FoundMirror(name=path.name, used_at=datetime.fromtimestamp(fetched_at(path), UTC))
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.suffix == ".git" and path.is_dir()
    ]
    return sorted(found, key=lambda one: (one.used_at, one.name))


def remove_mirror(
    root: Path, name: str, *, is_stopped: Callable[[], bool] = lambda: False
) -> int | None:
    """Remove a mirror.

    Args:
        root: The home's folder.
        name: The name of the mirror's folder.
        is_stopped: Polled while its size is measured.

    Returns:
        The bytes that it took; `None` if somebody uses it, or it is gone already.
    """
    mirror = root / MIRRORS_FOLDER / name
    try:
        with file_lock(lock_of(mirror), timeout=_NO_WAIT):
            target = to_trash(root, mirror)
    except (WorkspaceError, FileNotFoundError):
        return None
    size = disk_bytes(target, is_stopped=is_stopped)
    delete_tree(target)
    return size


def mirrors_of(repositories: Iterable[str]) -> frozenset[str]:
    """The names of the mirrors of these repositories; what is no address has none."""
    names = set()
    for repository in repositories:
        try:
            names.add(mirror_name(parse_source(repository)))
        except BadRepository:
            continue
    return frozenset(names)
