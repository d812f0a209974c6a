"""The files of a workspace as they are on its disk, without git.  Everything here blocks."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from core.domain.workspaces.stay import Stay, StayReason

# More takes longer to compare than a clean-up may.
MAX_FILES = 300_000
_BLOCK_BYTES = 512
_CHUNK_BYTES = 1_048_576
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OWNER_EXECUTES = 0o100


class UnsafeFiles(Exception):
    """The files have something that no proof can cover.

    Attributes:
        stay: Why the workspace stays.
    """

    def __init__(self, stay: Stay) -> None:
        super().__init__(stay.reason.value)
        self.stay = stay


@dataclass
class Listing:
    """What a workspace has on its disk, apart from its own `.git`.

    Attributes:
        files: Path to the mode that git would give it (`100644`, `100755`, `120000`).
        caches: Folders with the name of a cache, without a slash at the end.
        nested: Folders below the root that are repositories.
        special: Pipes, sockets, devices, and what may not be read.
    """

    files: dict[bytes, str] = field(default_factory=dict)
    caches: list[bytes] = field(default_factory=list)
    nested: list[bytes] = field(default_factory=list)
    special: list[bytes] = field(default_factory=list)


def list_files(
    root: Path,
    *,
    cache_names: frozenset[str],
    is_stopped: Callable[[], bool] = lambda: False,
    max_files: int = MAX_FILES,
) -> Listing:
    """List a workspace without following links.

    Args:
        root: The workspace.
        cache_names: Folders with these names are not listed, only searched for repositories.
        is_stopped: Polled; when it returns true the listing ends.
        max_files: How many files to list.

    Raises:
        UnsafeFiles: If there are more files, or it was stopped.
    """
    found = Listing()
    names = {os.fsencode(name) for name in cache_names}
    seen = 0
    # Each folder with whether it belongs to a cache.
    folders: list[tuple[bytes, bool]] = [(b"", False)]
    base = os.fsencode(root)
    while folders:
        folder, is_cache = folders.pop()
        try:
            entries = list(os.scandir(base + b"/" + folder))
        except OSError:
            found.special.append(folder or b".")
            continue
        for entry in entries:
            path = folder + b"/" + entry.name if folder else entry.name
            if entry.name == b".git":
                if folder:
                    found.nested.append(folder)
                continue
            seen += 1
            if seen > max_files or is_stopped():
                raise UnsafeFiles(Stay(reason=StayReason.TOO_MANY_FILES, count=seen))
            if entry.is_dir(follow_symlinks=False):
                starts_cache = not is_cache and entry.name in names
                if starts_cache:
                    found.caches.append(path)
                folders.append((path, is_cache or starts_cache))
            elif not is_cache:
                _add_file(found, path, entry)
    return found


def _add_file(found: Listing, path: bytes, entry: os.DirEntry[bytes]) -> None:
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        found.special.append(path)
        return
    if stat.S_ISLNK(mode):
        found.files[path] = "120000"
    elif stat.S_ISREG(mode):
        found.files[path] = "100755" if mode & _OWNER_EXECUTES else "100644"
    else:
        found.special.append(path)


def object_id(root: Path, path: bytes, mode: str, object_format: str) -> str | None:
    """The id that git would give a file as it is, byte for byte; `None` if it cannot be read."""
    full = root / os.fsdecode(path)
    try:
        if mode == "120000":
            content = os.fsencode(full.readlink())
            return _hashed(object_format, len(content), [content])
        with os.fdopen(os.open(full, _FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            chunks = iter(lambda: file.read(_CHUNK_BYTES), b"")
            return _hashed(object_format, status.st_size, chunks)
    except OSError:
        return None


def _hashed(object_format: str, size: int, chunks: Iterable[bytes]) -> str:
    digest = hashlib.new(object_format, b"blob %d\0" % size, usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def disk_bytes(root: Path, *, is_stopped: Callable[[], bool] = lambda: False) -> int:
    """What a folder takes on the disk; files with several names count once.  Blocking."""
    total = 0
    linked: set[tuple[int, int]] = set()
    folders = [os.fsencode(root)]
    while folders and not is_stopped():
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                if (status.st_dev, status.st_ino) in linked:
                    continue
                linked.add((status.st_dev, status.st_ino))
            total += status.st_blocks * _BLOCK_BYTES
            if stat.S_ISDIR(status.st_mode):
                folders.append(entry.path)
    return total
