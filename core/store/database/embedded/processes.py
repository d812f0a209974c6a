"""The processes of an embedded Postgres: its running server, and what a killed one left."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from core.store.database.embedded.programs import EmbeddedPostgresFailed

_CHILD_EXIT_SECONDS = 10


def running_socket_dir(cluster: Path) -> Path | None:
    """Return the folder of the running server's socket; `None` if the server does not run."""
    pid_file = _pid_file(cluster)
    if not pid_file.exists():
        return None
    lines = pid_file.read_text().splitlines()
    if len(lines) < 5 or not lines[0].isdigit():
        return None
    try:
        is_ours = str(cluster) in psutil.Process(int(lines[0])).cmdline()
    except psutil.Error:
        return None
    return Path(lines[4].strip()) if is_ours and lines[4].strip() else None


def remove_stale_files(cluster: Path, socket_dir: Path) -> None:
    """Remove the pid file and sockets of a killed server after its child processes have ended.

    Postgres does this itself, except if a process with the old pid exists: a zombie, or after
    a reboot another program.  Then it would refuse to start.

    Raises:
        EmbeddedPostgresFailed: If a child process of the server does not end within 10 s.
    """
    pid_file = _pid_file(cluster)
    if not pid_file.exists():
        return
    deadline = time.monotonic() + _CHILD_EXIT_SECONDS
    while any(_is_server_process(process, cluster) for process in psutil.process_iter()):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresFailed("waiting for the end of a killed server", "")
        time.sleep(0.05)
    for path in (pid_file, *socket_dir.glob(".s.PGSQL.*")):
        path.unlink(missing_ok=True)


def _pid_file(cluster: Path) -> Path:
    return cluster / "postmaster.pid"


def _is_server_process(process: psutil.Process, cluster: Path) -> bool:
    """Return whether a living process has the cluster as its working directory.

    All processes of a cluster's server do.
    """
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(cluster)
    except psutil.Error:
        return False  # It has ended meanwhile, or belongs to another account.
