"""The system account of the embedded Postgres, which refuses to run as root."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_ACCOUNT_NAME = "signalbox-postgres"
_ROOT_UID = 0
_ROOT_GID = 0


@dataclass(frozen=True)
class SystemUser:
    """An account of this machine."""

    uid: int
    gid: int


def server_account(data_dir: Path) -> SystemUser | None:
    """Return the account to run the server as; `None` is the account of this process.

    If this process runs as root, it is the owner of the folder, or a dedicated account if root
    owns the folder.
    """
    if os.geteuid() != _ROOT_UID:
        return None
    found = data_dir.stat()
    if found.st_uid != _ROOT_UID:
        return SystemUser(found.st_uid, found.st_gid)
    return _service_account()


def _service_account() -> SystemUser:
    """Return the dedicated account, created if necessary; `nobody` if it cannot be created."""
    try:
        entry = pwd.getpwnam(_ACCOUNT_NAME)
    except KeyError:
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if useradd is not None:
            created = subprocess.run(  # noqa: S603 - a fixed command of the system
                [
                    useradd,
                    "--system",
                    "--no-create-home",
                    "--shell",
                    "/usr/sbin/nologin",
                    _ACCOUNT_NAME,
                ],
                check=False,
                capture_output=True,
                timeout=30,
                env={"PATH": os.defpath},
            )
            log.info(
                "account %s for the embedded postgres: exit %s",
                _ACCOUNT_NAME,
                created.returncode,
                extra={
                    "event": "embedded_postgres.account_created",
                    "account": _ACCOUNT_NAME,
                    "exit_code": created.returncode,
                },
            )
        # Another process may have created it at the same time, so the exit code is irrelevant.
        accounts = (account for account in pwd.getpwall() if account.pw_name == _ACCOUNT_NAME)
        entry = next(accounts, pwd.getpwnam("nobody"))
    return SystemUser(entry.pw_uid, entry.pw_gid)


def set_owner(user: SystemUser | None, folder: Path) -> None:
    """Give a folder to an account, and deny all others access to it."""
    folder.chmod(0o700)
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def is_owned_by_root(path: Path) -> bool:
    """Return whether root owns the path, so that no server could use it."""
    return path.stat().st_uid == _ROOT_UID


def set_owner_recursively(user: SystemUser | None, folder: Path, *, keep: Path) -> None:
    """Give a folder with all of its content, except for the file `keep`, to an account."""
    if user is None:
        return
    set_owner(user, folder)
    for path in folder.rglob("*"):
        if path == keep:
            continue
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def grant_access(user: SystemUser | None, data_dir: Path, programs: Path) -> None:
    """Let another account reach its data and the programs of the wheel.

    The parent folders of both get the permission to be entered, but not to be listed: by this
    account alone where the folder's group has no use of it, otherwise by everybody.  The programs
    and libraries get the permissions to be read and executed.
    """
    if user is None:
        return
    install = programs.parent
    for parent in {*data_dir.parents, *install.parents}:
        _let_pass(user, parent)
    if programs.stat().st_mode & stat.S_IROTH:
        return
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    for path in (install, *install.rglob("*"), libraries, *libraries.rglob("*")):
        if path.exists():
            is_executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            _add_permissions(path, stat.S_IROTH | (stat.S_IXOTH if is_executable else 0))


def _let_pass(user: SystemUser, folder: Path) -> None:
    found = folder.stat()
    if found.st_mode & stat.S_IXOTH or found.st_uid == user.uid:
        return
    if found.st_gid == user.gid:
        _add_permissions(folder, stat.S_IXGRP)
    elif not found.st_mode & (
        stat.S_IRGRP | stat.S_IWGRP if found.st_gid == _ROOT_GID else stat.S_IRWXG
    ):
        # Its present group loses nothing.
        os.chown(folder, -1, user.gid)
        _add_permissions(folder, stat.S_IXGRP)
    else:
        _add_permissions(folder, stat.S_IXOTH)


def _add_permissions(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)
