"""The process table of this machine, and signals that cannot reach the wrong process.

It is read from `/proc` where that exists, and with psutil elsewhere (for development on macOS).
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from core.domain.kills.termination import ProcessIdentity

_HAS_PROC = Path("/proc/self/stat").exists()
# psutil reports start times in seconds since the epoch.  Linux counts hundredths of a second.
TICKS_PER_SECOND = 100
# `PF_KTHREAD` of the kernel's `sched.h`; no program can get this flag.  Most entries of an idle
# machine's table have it.
_KERNEL_THREAD = 0x00200000
# More than the table says of most processes.
_READ_BYTES = 8_192
# Ends a pass on a machine that starts processes all the time.
_MAX_LISTINGS = 10
# What this process itself lacks, which says nothing about the other one.
_OWN_FAILURES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One living process.

    Attributes:
        session: The id of its session (as of `setsid`).
        started_ticks: Its start time, see `ProcessIdentity`.
        processor_ticks: The processor time that it has used, in hundredths of a second, with that
            of its children that have ended.
    """

    pid: int
    parent: int
    session: int
    started_ticks: int
    name: str
    processor_ticks: int = 0

    @property
    def identity(self) -> ProcessIdentity:
        """The process's identity, which a later process with the same pid does not share."""
        return ProcessIdentity(pid=self.pid, started_ticks=self.started_ticks, name=self.name)


def iter_processes() -> Iterator[ProcessInfo]:
    """Iterate over every visible process that is alive; zombies and kernel threads are left out.

    Raises:
        OSError: If this process cannot read the table, for example without a free descriptor.
    """
    return _iter_proc() if _HAS_PROC else _iter_psutil()


def find_process(pid: int) -> ProcessInfo | None:
    """Look up a living process; `None` if no process has this pid.

    Raises:
        OSError: If this process cannot read the table.
    """
    if _HAS_PROC:
        return _read_stat(pid)
    with suppress(psutil.Error):
        return _from_psutil(psutil.Process(pid))
    return None


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a living process; `None` if no process has this pid."""
    process = find_process(pid)
    return None if process is None else process.identity


def own_pids() -> frozenset[int]:
    """Return the pids of this process and its ancestors.

    A worker may itself run inside an agent's tool, and must not end itself.
    """
    pids = {os.getpid()}
    process = find_process(os.getpid())
    while process is not None and process.parent not in pids:
        pids.add(process.parent)
        process = find_process(process.parent)
    return frozenset(pids)


def read_environment(pid: int, *names: str) -> dict[str, str]:
    """Read environment variables that a process was started with, as far as they are set.

    Empty if the environment may not be read (another user's process).
    """
    if _HAS_PROC:
        raw = read_proc_file(pid, "environ")
        if raw is None:
            return {}
        found = {}
        for name in names:
            start = (b"\0" + raw).find(b"\0" + name.encode() + b"=")
            if start >= 0:
                value = raw[start + len(name) + 1 :].split(b"\0", 1)[0]
                found[name] = value.decode(errors="replace")
        return found
    with suppress(psutil.Error):
        environment = psutil.Process(pid).environ()
        return {name: environment[name] for name in names if name in environment}
    return {}


def now_ticks() -> int:
    """Return the present time as `ProcessIdentity.started_ticks` counts it."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME) if _HAS_PROC else time.time()
    return round(now * TICKS_PER_SECOND)


def written_bytes(pid: int) -> int | None:
    """Return how many bytes a process has written, with its children that have ended.

    `None` if that may not be read, or this system does not count it.
    """
    lines = (read_proc_file(pid, "io") or b"").splitlines() if _HAS_PROC else []
    return next((int(line.split()[1]) for line in lines if line.startswith(b"wchar:")), None)


def working_directory(pid: int) -> str | None:
    """Return the working directory of a process; `None` if that may not be read."""
    with suppress(OSError, psutil.Error):
        return os.readlink(f"/proc/{pid}/cwd") if _HAS_PROC else psutil.Process(pid).cwd()  # noqa: PTH115
    return None


def pid_in_own_namespace(pid: int) -> int | None:
    """Return the pid that a process has in the innermost PID namespace to which it belongs.

    `None` if the process is gone, or if this system has no PID namespaces.
    """
    numbers = _pids_in_namespaces(pid)
    return numbers[-1] if numbers else None


def is_in_inner_namespace(pid: int) -> bool:
    """Whether a process is in a PID namespace below that of this process; False if it is gone."""
    return len(_pids_in_namespaces(pid)) > _own_namespace_depth()


@cache
def _own_namespace_depth() -> int:
    return len(_pids_in_namespaces(os.getpid()))


def _pids_in_namespaces(pid: int) -> list[int]:
    """Return a process's pids from the outermost namespace that is visible here to its own."""
    lines = (read_proc_file(pid, "status") or b"").splitlines()
    return next(([*map(int, line.split()[1:])] for line in lines if line.startswith(b"NSpid:")), [])


def send_signal(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Send a signal to exactly this process.

    Returns:
        False if it is gone, its pid now belongs to another process, or permission is missing.

    Raises:
        OSError: If this process cannot find out whether it is the same one.
    """
    target = _open_signal_target(identity.pid)
    if target is None:
        return False
    try:
        present = find_process(identity.pid)
        if present is None or present.started_ticks != identity.started_ticks:
            return False
        target.deliver(number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        target.close()
    return True


@dataclass(frozen=True, slots=True)
class _SignalTarget:
    deliver: Callable[[signal.Signals], None]
    close: Callable[[], None]


def _open_signal_target(pid: int) -> _SignalTarget | None:
    """Open a handle on a pid; the caller then checks the identity of the process it holds.

    In this order the pid cannot be reused between the check and the signal.
    """
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        except OSError:
            pass  # This kernel or container has no pidfd; fall back to a plain kill.
        else:
            return _SignalTarget(
                lambda number: signal.pidfd_send_signal(handle, number), lambda: os.close(handle)
            )
    return _SignalTarget(lambda number: os.kill(pid, number), lambda: None)


def _iter_proc() -> Iterator[ProcessInfo]:
    """Iterate from the highest pid down, then over processes that started meanwhile.

    So a process that forks and exits during the pass does not escape it.
    """
    examined: set[int] = set()
    for _ in range(_MAX_LISTINGS):
        listed = {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208
        fresh = listed - examined
        if not fresh:
            return
        examined |= fresh
        for pid in sorted(fresh, reverse=True):
            found = _read_stat(pid)
            if found is not None:
                yield found


def _read_stat(pid: int) -> ProcessInfo | None:
    raw = read_proc_file(pid, "stat")
    if raw is None:
        return None
    # The name is in parentheses, and may itself contain parentheses and spaces.
    opening, closing = raw.find(b"("), raw.rfind(b")")
    fields = raw[closing + 2 :].split()
    state, threads = fields[0], int(fields[17])
    # A process whose main thread has exited has the state of a zombie, but its threads run.
    if (state in b"XZx" and threads < 2) or int(fields[6]) & _KERNEL_THREAD:
        return None
    return ProcessInfo(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        started_ticks=int(fields[19]),
        name=raw[opening + 1 : closing].decode(errors="replace"),
        processor_ticks=sum(map(int, fields[11:15])),
    )


def read_proc_file(pid: int, name: str) -> bytes | None:
    """Read a file of a process; `None` if the process is gone, or the file is not for us."""
    try:
        # A file object for each process would take twice the time of the whole scan.
        handle = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = [os.read(handle, _READ_BYTES)]
            while parts[-1]:
                parts.append(os.read(handle, _READ_BYTES))
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in _OWN_FAILURES:
            # A living process must not pass for dead: a kill would count as proven.
            raise
        return None
    return b"".join(parts)


def _iter_psutil() -> Iterator[ProcessInfo]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found = _from_psutil(process)
            if found is not None:
                yield found


def _from_psutil(process: psutil.Process) -> ProcessInfo | None:
    with process.oneshot():
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        session = 0
        with suppress(OSError):
            session = os.getsid(process.pid)
        return ProcessInfo(
            pid=process.pid,
            parent=process.ppid() or 0,
            session=session,
            started_ticks=round(process.create_time() * TICKS_PER_SECOND),
            name=process.name(),
            processor_ticks=round(sum(process.cpu_times()[:4]) * TICKS_PER_SECOND),
        )
