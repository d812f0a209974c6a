"""Real process trees, each with its own run marker, from cooperative to hostile."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from core.agent.process import process_table
from core.agent.process.process_table import identify
from core.agent.process.process_tree import (
    ATTEMPT_MARKER,
    INSTALLATION_MARKER,
    RUN_MARKER,
    find_run_processes,
)
from core.domain.kills.termination import Phase, ProcessIdentity, Proof
from tests.limits import limit

linux_only = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the trees are Linux's"
)

QUICK = timedelta(seconds=0.3)

# Each prints "ready" when its tree is complete.
COOPERATIVE = "sleep 60 & echo ready; wait"
ESCAPED = "setsid sleep 61 & sleep 0.1; echo ready; wait"
STUBBORN = (
    "trap '' TERM INT HUP; bash -c 'trap \"\" TERM; sleep 62 & wait' & echo ready; wait; wait"
)
ORPHANED = "(setsid sleep 63 &) ; sleep 0.1; echo ready; exec sleep 60"
# Its own session, orphaned, and without the run marker.
UNMARKED = "(env -i setsid sleep 64 &) ; sleep 0.1; echo ready; exec sleep 60"
# These two end automatically: a killed test must not leave them running forever.
FORKING = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 60
print("ready", flush=True)
while time.monotonic() < end:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        os._exit(0)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    time.sleep(0.005)
"""
# Each process forks the next and exits at once, so the tree never stands still.
CHAIN = """
import os, signal, sys, time
from tests.limits import limit
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 60
print("ready", flush=True)
while time.monotonic() < end:
    if os.fork() != 0:
        time.sleep(0.002)
        os._exit(0)
    os.setsid()
"""


class StartedTree:
    """A tree that a test started."""

    def __init__(self, run_marker: str, process: subprocess.Popen[bytes]) -> None:
        self.run_marker = run_marker
        self.process = process
        root = identify(process.pid)
        assert root is not None
        self.root = root


@contextmanager
def start_tree(
    *command: str,
    installation_id: str = "",
    with_reaper: bool = False,
    run_marker: str = "",
    attempt: int = 1,
) -> Iterator[StartedTree]:
    run_marker = run_marker or f"run_{uuid.uuid4().hex[:12]}"
    environment = {
        "PATH": os.environ["PATH"],
        RUN_MARKER: run_marker,
        ATTEMPT_MARKER: str(attempt),
        INSTALLATION_MARKER: installation_id,
    }
    wrapped = (sys.executable, "-c", REAPER, *command) if with_reaper else command
    with subprocess.Popen(
        wrapped, env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        root = identify(process.pid)
        try:
            assert process.stdout.readline() == b"ready\n"
            yield StartedTree(run_marker, process)
        finally:
            _kill_tree(run_marker, root)


def _kill_tree(run_marker: str, root: ProcessIdentity | None) -> None:
    """Kill what is left, repeatedly: a chain moves on between a scan and its signal."""
    while alive := find_run_processes(run_marker, root) or find_run_processes(run_marker, root):
        for one in alive:
            process_table.send_signal(one, signal.SIGKILL)


def command_line(one: ProcessIdentity) -> str:
    with suppress(OSError):
        return Path(f"/proc/{one.pid}/cmdline").read_text().replace("\0", " ")
    return ""


# Orphaned descendants stay children of this process, as with `launch.py`, and are reaped here,
# because not every container's first process does that.
REAPER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
if os.fork() == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


async def wait_until_gone(process: ProcessIdentity) -> None:
    async with limit(5):
        while identify(process.pid) == process:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process without a free file descriptor for the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open("/dev/null", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[0] + 20, before[1]))
    try:
        with suppress(OSError):
            while True:
                opened.append(os.dup(opened[0]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in opened:
            os.close(descriptor)


class PhaseRecorder:
    """Records phases, and the processes alive at that moment."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.proofs: list[Proof] = []

    async def __call__(self, phase: Phase, proof: Proof) -> None:
        self.phases.append(phase)
        self.proofs.append(proof)
