"""Files that an agent can replace by anything: a link, a pipe, or something endless."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

# A longer file than HEAD or a configuration has.
MAX_SMALL_BYTES = 4_096
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_untrusted(root: Path, name: str) -> BinaryIO | None:
    """Open a plain file below a directory, without following any link and without waiting.

    Args:
        root: The directory.
        name: The file's path below it.

    Returns:
        The file; `None` if there is none, or something else is in its place.
    """
    *folders, last = name.split("/")
    try:
        folder = os.open(root, _FLAGS | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        for part in folders:
            inner = os.open(part, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        handle = os.open(last, _FLAGS | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    return os.fdopen(handle, "rb")


def list_folders(root: Path, name: str) -> list[str] | None:
    """List a directory below another one, without following any link.

    Args:
        root: The directory.
        name: The path of the other one below it.

    Returns:
        The names in it, none if it does not exist; `None` if not all of them are directories, or
        if something else is in its place.
    """
    folder = root
    for part in name.split("/"):
        folder /= part
        try:
            mode = folder.lstat().st_mode
        except FileNotFoundError:
            return []
        except OSError:
            return None
        if not stat.S_ISDIR(mode):
            return None
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return None
    return [name for name, _ in found] if all(is_dir for _, is_dir in found) else None


def copy_untrusted(root: Path, name: str, destination: Path, *, max_bytes: int) -> bool:
    """Copy such a file unless it is larger than `max_bytes`; return whether it was copied.

    The copy has the same time of modification: git compares that of an index with those of the
    files in it, to tell which of them may have changed since without looking different.

    Raises:
        OSError: If the copy cannot be written.
    """
    source = open_untrusted(root, name)
    if source is None:
        return False
    with source:
        status = os.fstat(source.fileno())
        # A sparse file can be larger than the disk.
        if status.st_size > max_bytes:
            return False
        with destination.open("wb") as target:
            shutil.copyfileobj(source, target)
        os.utime(destination, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def read_small(path: Path, name: str) -> str:
    """Return the first 4 KiB of a file, with its time if it is longer; empty if it is none."""
    file = open_untrusted(path, name)
    if file is None:
        return ""
    with file:
        status = os.fstat(file.fileno())
        text = file.read(MAX_SMALL_BYTES).decode(errors="replace")
        return text if status.st_size <= MAX_SMALL_BYTES else f"{text}{status.st_mtime_ns}"
