"""Control groups (v2): what the kernel counts for a run that has one of its own.

Signalbox makes none, but a run can be started in one: by a wrapper of the agent program, or by what
starts programs on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from core.agent.process.process_table import read_proc_file

ROOT = Path("/sys/fs/cgroup")
_MICROSECONDS = 1_000_000
# What takes room in memory; the rest of `memory.current` is mostly files, which the kernel drops
# when it needs their room.
_HELD = (b"anon", b"shmem", b"file_mapped")


@dataclass(frozen=True, slots=True)
class GroupUsage:
    """What a control group has used; what it does not count is `None`."""

    cpu_seconds: float | None
    memory_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None


def group_path(pid: int) -> str | None:
    """The path of a process's group in the unified hierarchy; `None` if there is none.

    Raises:
        OSError: If this process cannot read the table, for example without a free descriptor.
    """
    return parse_path(read_proc_file(pid, "cgroup"))


def parse_path(text: bytes | None) -> str | None:
    """Read `/proc/<pid>/cgroup`."""
    for line in (text or b"").splitlines():
        if line.startswith(b"0::"):
            return os.fsdecode(line.removeprefix(b"0::"))
    return None


def own_group(
    pid: int, members: Collection[int], *, worker_path: str | None, root: Path = ROOT
) -> Path | None:
    """The folder of the group that only the processes of one tree are in; `None` without one.

    Args:
        pid: The first process of the tree.
        members: All of its processes that are alive.
        worker_path: The path of the worker's own group.
        root: Where the unified hierarchy is mounted.

    Raises:
        OSError: As `group_path`.
    """
    if worker_path is None or not (root / "cgroup.controllers").exists():
        return None
    path = group_path(pid)
    if path is None or is_shared(path, worker_path):
        return None
    folder = root / path.lstrip("/")
    try:
        inside = (folder / "cgroup.procs").read_bytes().split()
    except OSError:
        return None
    return folder if inside and all(int(one) in members for one in inside) else None


def is_shared(path: str, worker_path: str) -> bool:
    """Whether a group has, or may have, the worker in it, or lies outside of what is seen here."""
    return (
        ".." in Path(path).parts
        or path == worker_path
        or worker_path.startswith(path.rstrip("/") + "/")
    )


def read_group(folder: Path) -> GroupUsage:
    """What a group has used until now."""
    cpu = _fields(_read(folder / "cpu.stat")).get(b"usage_usec")
    memory = _fields(_read(folder / "memory.stat"))
    transfers = parse_transfers(_read(folder / "io.stat"))
    return GroupUsage(
        cpu_seconds=None if cpu is None else cpu / _MICROSECONDS,
        memory_bytes=sum(memory.get(name, 0) for name in _HELD) if b"anon" in memory else None,
        read_bytes=None if transfers is None else transfers[0],
        written_bytes=None if transfers is None else transfers[1],
    )


def parse_transfers(text: bytes | None) -> tuple[int, int] | None:
    """The bytes read and written, of all devices in `io.stat`; `None` if it is not there."""
    if text is None:
        return None
    sums = {b"rbytes": 0, b"wbytes": 0}
    for word in text.split():
        name, _, value = word.partition(b"=")
        if name in sums and value.isdigit():
            sums[name] += int(value)
    return sums[b"rbytes"], sums[b"wbytes"]


def _fields(text: bytes | None) -> dict[bytes, int]:
    found = {}
    for line in (text or b"").splitlines():
        name, _, value = line.partition(b" ")
        if value.isdigit():
            found[name] = int(value)
    return found


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        # This group does not count it, or is gone.
        return None
