"""The identity of a worker: its node name, held by a lock on the disk, and its host."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO
from uuid import uuid4

import psutil

from core.domain.fleet.attempt import build_host_id, machine_name
from core.workspace.locks import file_lock
from core.workspace.scratch import Scratch, open_scratch

_MAX_NODES = 64
# The name of the first host, for people, and random digits that make it unique.
_DISK_ID = re.compile(r"[^\s/:]{1,100}-[0-9a-f]{8}")
_DISK_ID_PATIENCE = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class WorkerIdentity:
    """The identity of a worker.

    Attributes:
        node: Stable over restarts; a lock on the disk gives it to one process at a time.
        worker_id: Unique to this process.
        host: Where the pids of its processes are valid; see `this_host`.
        disk_id_file: The file that binds the node's name to this disk.
        scratch: The directory for its temporary files.
        predecessor: Id of the worker that held the lock before; it is dead.
    """

    node: str
    worker_id: str
    host: str
    disk_id_file: Path
    scratch: Scratch
    predecessor: str | None = None


@contextmanager
def claimed_identity(home: Path) -> Iterator[WorkerIdentity]:
    """Claim a free node name of this home, until the context ends.

    Raises:
        RuntimeError: If all node names of the home are in use.
    """
    host = this_host()
    locks = home / "nodes"
    disk_name = disk_id_of(home)
    for number in range(_MAX_NODES):
        with (locks / f"{number}.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            node = f"{disk_name}-{number}"
            worker_id = f"{node}:{uuid4().hex[:8]}"
            predecessor = _record_holder(lock, worker_id)
            with open_scratch(home) as scratch:
                yield WorkerIdentity(
                    node=node,
                    worker_id=worker_id,
                    host=host,
                    disk_id_file=_disk_file(home),
                    scratch=scratch,
                    predecessor=predecessor,
                )
            return
    raise RuntimeError(f"more than {_MAX_NODES} workers share the home {home}")


def this_host() -> str:
    """An id of this machine until its next boot, with the PID namespace.

    The hostname alone does not distinguish containers, or virtual machines made from one image.
    """
    name = socket.gethostname()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return build_host_id(name, boot=boot[:8], namespace=Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:  # Not Linux: there are no namespaces either.
        return build_host_id(name, boot=f"{psutil.boot_time():.0f}")


def disk_id_of(home: Path) -> str:
    """The id of the disk that a home is on; the first call creates it.

    It is not the path, which is the same on other machines.  It starts with the hostname of the
    first call, but stays when the hostname changes, as in a container that is created again.
    """
    file = _disk_file(home)
    (home / "nodes").mkdir(mode=0o700, parents=True, exist_ok=True)
    with file_lock(home / "nodes" / "disk-id.lock", timeout=_DISK_ID_PATIENCE):
        known = file.read_text().strip() if file.is_file() else ""
        if _DISK_ID.fullmatch(known):
            return known
        new_id = f"{machine_name(this_host())[:100]}-{secrets.token_hex(4)}"
        staged_file = file.with_name("disk-id.new")
        with staged_file.open("w") as new:
            new.write(f"{new_id}\n")
            new.flush()
            # If a power cut lost the file, the next start would create another id.
            os.fsync(new.fileno())
        staged_file.replace(file)
        return new_id


def _disk_file(home: Path) -> Path:
    return home / "disk-id"


def _record_holder(lock: IO[str], worker_id: str) -> str | None:
    """Record the holder of a lock in its file.

    Returns:
        The previous holder; `None` if there was none, or if the file is a copy.
    """
    status = os.fstat(lock.fileno())
    file_id = f"{status.st_dev}:{status.st_ino}"
    lock.seek(0)
    previous_holder, _, recorded_file_id = lock.read().strip().rpartition(" ")
    lock.truncate(0)
    lock.write(f"{worker_id} {file_id}\n")
    lock.flush()
    return previous_holder if previous_holder and recorded_file_id == file_id else None
