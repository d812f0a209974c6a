"""Directories that only this process's user may enter, and files that only this user may read."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from uuid import uuid4

import platformdirs

from core.domain.errors import OpsError

log = logging.getLogger(__name__)

_ROOT_UID = 0
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ForeignDirectory(OpsError):
    """The home belongs to another user, who could read and replace everything in it.

    Attributes:
        path: The directory.
        owner: The user id of its owner.
    """

    code = "foreign_directory"

    def __init__(self, path: Path, owner: int) -> None:
        super().__init__(
            f"{path} belongs to user {owner}",
            user_message=f"The home folder belongs to another user (uid {owner}).",
        )
        self.path = path
        self.owner = owner


def default_home() -> Path:
    """The home of this user if `SIGNALBOX_HOME` names none: the platform's folder for data."""
    return Path(platformdirs.user_data_dir("signalbox", appauthor=False))


def make_home_private(home: Path) -> None:
    """Create a home that only this user may enter, or make an existing one and its folders so.

    The modes of files inside do not matter then; those of workspaces are the repositories' own.

    Raises:
        ForeignDirectory: If it belongs to another user, and this is not root.
        OSError: If it cannot be created.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = home.stat().st_uid
    if os.geteuid() not in (owner, _ROOT_UID):
        raise ForeignDirectory(home, owner)
    folders = [path for path in home.iterdir() if path.is_dir() and not path.is_symlink()]
    # The embedded Postgres of root has an account of its own, which has a folder of its own.
    for folder in (home, *(path for path in folders if path.stat().st_uid == owner)):
        _make_private(folder)


def excess_permissions(folder: Path) -> int:
    """The permissions of other users to a directory; 0 if it is private.

    If this process is root's, a group may have the permission to pass through: the account of the
    embedded Postgres needs it.
    """
    allowed = stat.S_IXGRP if os.geteuid() == _ROOT_UID else 0
    return folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~allowed


def read_private_file(path: Path, *, limit: int = 1000) -> str | None:
    """The first `limit` characters of a file with a secret, if nobody else had a chance to read it.

    Returns:
        `None` if the file is missing, unreadable, no UTF-8 or a link, if it belongs to another
        user than this one or root, or if other users have any permission to it.  Root accepts
        everybody's.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, encoding="utf-8") as file:
            found = os.fstat(handle)
            is_trusted = found.st_uid in (os.geteuid(), _ROOT_UID) or os.geteuid() == _ROOT_UID
            if not (stat.S_ISREG(found.st_mode) and is_trusted) or found.st_mode & _OTHERS:
                return None
            return file.read(limit)
    except (OSError, UnicodeDecodeError):
        return None


def write_private_file(path: Path, content: str, *, owner: tuple[int, int] | None = None) -> None:
    """Replace a file by one that only its owner may read; a killed process leaves the old one.

    Args:
        path: The file, in a folder of this process's user.
        content: What it is to hold.
        owner: The user and the group that own it; `None` for those of this process.

    Raises:
        OSError: If it cannot be written.
    """
    staged = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            if owner is not None:
                os.fchown(handle, *owner)
            file.write(content)
            file.flush()
            os.fsync(handle)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    excess = excess_permissions(folder)
    if not excess:
        return
    present = stat.S_IMODE(folder.stat().st_mode)
    # A folder that hands its group on to its content must not do so any more either.
    wanted = present & ~excess & ~stat.S_ISGID
    folder.chmod(wanted)
    if excess_permissions(folder):
        log.warning(
            "%s stays open to other users: its file system keeps the permissions %o",
            folder,
            present,
            extra={"event": "directory.left_open", "path": str(folder)},
        )
        return
    log.info(
        "%s is now private: permissions %o instead of %o",
        folder,
        wanted,
        present,
        extra={"event": "directory.made_private", "path": str(folder)},
    )
