"""The embedded Postgres: a server from a Python wheel with its data in a folder.

Several processes may use the same folder.  The first one starts the server, and the last one
stops it.  Each user holds a file lock, which the system releases if the process is killed.

The server has no TCP port, and asks for a password on its Unix socket.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO
from urllib.parse import quote

from core.store.database.embedded import account as embedded_account
from core.store.database.embedded import password as embedded_password
from core.store.database.embedded.processes import remove_stale_files, running_socket_dir
from core.store.database.embedded.programs import (
    VERSION,
    EmbeddedPostgresFailed,
    programs_dir,
    run_program,
)

log = logging.getLogger(__name__)

_START_SECONDS = 60
# Once in the life of a home; a busy machine was seen to take more than a minute.
_SET_UP_SECONDS = 300
_STOP_SECONDS = 20
# A Unix socket's path has at most 107 bytes on Linux and 103 on macOS, with the socket's name.
_SOCKET_DIR_BYTES = 85
# Characters that need no quotes in the server's option for socket folders.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass
class EmbeddedServer:
    """A folder with a database cluster, and the server of that cluster.  Every method blocks.

    Attributes:
        folder: Contains the cluster (in a folder named by the version), the password, the log and
            lock files.
        settings: Server settings for the command line (`fsync`, …).
    """

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    _bin: Path = field(default_factory=programs_dir, init=False, repr=False)
    _users_lock: IO[bytes] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()

    def acquire(self) -> str:
        """Start the server unless it runs, register this process as a user, and return the DSN.

        A cluster without a password gets one; that of a lost password file gets another one.

        Raises:
            EmbeddedPostgresFailed: If the cluster cannot be created or the server not started.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._exclusive_lock():
                self._ensure_cluster()
                self._ensure_password()
                if running_socket_dir(self._cluster) is None:
                    self.start()
                self._users_lock = (self.folder / "users").open("ab")
                fcntl.flock(self._users_lock, fcntl.LOCK_SH)
        except OSError as error:
            raise EmbeddedPostgresFailed("opening its folder", str(error)) from error
        return self.dsn

    def release(self) -> None:
        """Stop the server, unless another process uses it."""
        with self._exclusive_lock():
            if self._users_lock is not None:
                self._users_lock.close()
                self._users_lock = None
            if self._has_users():
                log.info(
                    "embedded postgres is left to its other users",
                    extra={"event": "embedded_postgres.left_running"},
                )
                return
            self.stop()

    @property
    def dsn(self) -> str:
        """The DSN of the running server.

        Raises:
            EmbeddedPostgresFailed: If it does not run.
        """
        socket_dir = running_socket_dir(self._cluster)
        if socket_dir is None:
            raise EmbeddedPostgresFailed("connecting", "it does not run")
        passfile = embedded_password.password_file(self.folder)
        return (
            f"postgresql://{embedded_password.ROLE}@/postgres"
            f"?host={quote(str(socket_dir))}&passfile={quote(str(passfile))}"
        )

    def start(self) -> None:
        """Start the server of an existing cluster."""
        remove_stale_files(self._cluster, self.folder)
        arguments = ["-c", "listen_addresses=", "-k", str(self._socket_dir())]
        for name, value in self.settings.items():
            arguments += ["-c", f"{name}={value}"]
        options = " ".join(f"'{argument}'" for argument in arguments)
        self._run(
            "the start",
            *("pg_ctl", "start", "-w", "-t", str(_START_SECONDS)),
            *("-D", str(self._cluster), "-l", str(self.folder / "log"), "-o", options),
            timeout_seconds=_START_SECONDS + 5,
        )

    def stop(self) -> None:
        """Stop the server, which disconnects its clients."""
        socket_dir = running_socket_dir(self._cluster)
        if socket_dir is None:
            return
        self._run(
            "the stop",
            *("pg_ctl", "stop", "-w", "-t", str(_STOP_SECONDS), "-m", "fast"),
            *("-D", str(self._cluster)),
            timeout_seconds=_STOP_SECONDS + 5,
        )
        if socket_dir != self.folder:
            shutil.rmtree(socket_dir, ignore_errors=True)

    @property
    def _cluster(self) -> Path:
        return self.folder / str(VERSION)

    def _ensure_cluster(self) -> None:
        """Create the cluster if it does not exist, and give the server's account access."""
        if not self._cluster.exists():
            embedded_account.set_owner(self._user, self.folder)
        elif embedded_account.is_owned_by_root(self._cluster):
            # Root has restored it from a backup, so root owns the files.
            embedded_account.set_owner_recursively(
                self._user, self.folder, keep=embedded_password.password_file(self.folder)
            )
        elif self.folder.stat().st_mode & 0o077:
            self.folder.chmod(0o700)
        embedded_account.grant_access(self._user, self.folder, self._bin)
        if self._cluster.exists():
            return
        # Built beside its final path and then moved: a killed set-up leaves no incomplete cluster.
        staging_dir = self.folder / "new"
        shutil.rmtree(staging_dir, ignore_errors=True)
        self._run(
            "the set-up",
            *(
                "initdb",
                "-D",
                str(staging_dir),
                "-U",
                "postgres",
                "--auth=reject",
                "--encoding=UTF8",
            ),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(["--no-sync"] if self._is_without_sync else []),
            timeout_seconds=_SET_UP_SECONDS,
        )
        staging_dir.replace(self._cluster)

    def _ensure_password(self) -> None:
        """Make the cluster demand the password of the folder's file, whose loss it survives.

        The account that owns a cluster may set its password without knowing the old one, in a
        single-user mode for which the server must be stopped.
        """
        known = embedded_password.load_password(self.folder)
        if known is not None and embedded_password.is_demanded(self._cluster, known):
            return
        had_password = embedded_password.has_password(self._cluster)
        if running_socket_dir(self._cluster) is not None:
            if not had_password and self._has_users():
                # They are of an earlier version, which knows no password.
                log.warning(
                    "embedded postgres has no password until its other users have ended",
                    extra={"event": "embedded_postgres.password_postponed"},
                )
                return
            # Its users reconnect, and read the password again.
            self.stop()
        password = known or embedded_password.create_password(self.folder)
        remove_stale_files(self._cluster, self.folder)
        self._run(
            "the setting of its password",
            *("postgres", "--single", "-D", str(self._cluster), "-c", "exit_on_error=on"),
            *(["-c", "fsync=off"] if self._is_without_sync else []),
            embedded_password.ROLE,
            timeout_seconds=_SET_UP_SECONDS,
            stdin=embedded_password.statement(password),
        )
        embedded_password.demand(self._cluster, password, self._user)
        log.info(
            "embedded postgres has a new password",
            extra={"event": "embedded_postgres.password_set", "is_replaced": had_password},
        )

    @property
    def _is_without_sync(self) -> bool:
        return self.settings.get("fsync") == "off"

    def _has_users(self) -> bool:
        """Whether a process uses the server; this one does not count before `acquire` ends."""
        with (self.folder / "users").open("ab") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _socket_dir(self) -> Path:
        """Return the folder for the socket: a temporary one if the own path is unsuitable."""
        path = str(self.folder)
        if len(os.fsencode(path)) <= _SOCKET_DIR_BYTES and _PLAIN_PATH.fullmatch(path):
            return self.folder
        socket_dir = Path(tempfile.mkdtemp(prefix="signalbox-"))
        embedded_account.set_owner(self._user, socket_dir)
        return socket_dir

    @property
    def _user(self) -> embedded_account.SystemUser | None:
        return embedded_account.server_account(self.folder)

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        """Keep other processes from starting or stopping the server during the block."""
        with (self.folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _run(
        self,
        operation: str,
        program: str,
        *arguments: str,
        timeout_seconds: float,
        stdin: str = "",
    ) -> None:
        run_program(
            operation,
            self._bin / program,
            *arguments,
            user=self._user,
            timeout_seconds=timeout_seconds,
            stdin=stdin,
        )


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path, *, settings: Mapping[str, str] = _NO_SETTINGS
) -> AsyncIterator[str]:
    """Start the Postgres of a folder, which is created on first use, and provide its DSN.

    Raises:
        EmbeddedPostgresFailed: If the cluster cannot be created or the server not started.
    """
    server = EmbeddedServer(data_dir, settings)
    dsn = await asyncio.to_thread(server.acquire)
    try:
        yield dsn
    finally:
        await asyncio.shield(asyncio.to_thread(server.release))
