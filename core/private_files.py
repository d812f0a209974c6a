"""Directories that only this process's user may enter."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from core.domain.errors import OpsError

log = logging.getLogger(__name__)

_ROOT_UID = 0


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
