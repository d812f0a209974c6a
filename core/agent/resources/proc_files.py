"""What the kernel says of one process in `/proc/<pid>/status` and `/proc/<pid>/io`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

from core.agent.process.process_table import read_proc_file

_HAS_PROC = os.path.exists("/proc/self/status")  # noqa: PTH110
_KILOBYTE = 1024


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """The memory of a process.

    Attributes:
        own_bytes: Pages that belong to it alone, such as its heap.
        shared_bytes: Pages of files and of shared memory: others may have the same ones.
        largest_bytes: The most that it has ever held of both.
    """

    own_bytes: int
    shared_bytes: int
    largest_bytes: int


@dataclass(frozen=True, slots=True)
class ProcessTransfers:
    """What a process, and the children that it has waited for, have moved from and to disks."""

    read_bytes: int
    written_bytes: int


def memory_of(pid: int) -> ProcessMemory | None:
    """The memory of a process; `None` if it is gone.

    Raises:
        OSError: If this process cannot read the table, for example without a free descriptor.
    """
    if _HAS_PROC:
        return parse_status(read_proc_file(pid, "status"))
    try:
        resident = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
    return ProcessMemory(own_bytes=resident, shared_bytes=0, largest_bytes=resident)


def transfers_of(pid: int) -> ProcessTransfers | None:
    """What a process has read and written; `None` if that may not be read.

    Raises:
        OSError: As `memory_of`.
    """
    return parse_io(read_proc_file(pid, "io")) if _HAS_PROC else None


def parse_status(text: bytes | None) -> ProcessMemory | None:
    """Read `/proc/<pid>/status`; `None` for a process that is gone, or has no memory any more."""
    if text is None:
        return None
    own = _kilobytes(text, b"\nRssAnon:")
    if own is None:
        return None
    shared = (_kilobytes(text, b"\nRssFile:") or 0) + (_kilobytes(text, b"\nRssShmem:") or 0)
    largest = _kilobytes(text, b"\nVmHWM:") or 0
    return ProcessMemory(
        own_bytes=own * _KILOBYTE,
        shared_bytes=shared * _KILOBYTE,
        largest_bytes=max(largest, own + shared) * _KILOBYTE,
    )


def parse_io(text: bytes | None) -> ProcessTransfers | None:
    """Read `/proc/<pid>/io`; `None` if it is not complete."""
    # With a line before it, so that `write_bytes` is not found in `cancelled_write_bytes`.
    whole = b"\n" + (text or b"")
    read, written = _number(whole, b"\nread_bytes:"), _number(whole, b"\nwrite_bytes:")
    if read is None or written is None:
        return None
    return ProcessTransfers(read_bytes=read, written_bytes=written)


def _kilobytes(text: bytes, name: bytes) -> int | None:
    return _number(text, name, unit=b" kB")


def _number(text: bytes, name: bytes, *, unit: bytes = b"") -> int | None:
    start = text.find(name)
    if start < 0:
        return None
    start += len(name)
    end = text.find(b"\n", start)
    value = (text[start:end] if end >= 0 else text[start:]).removesuffix(unit).strip()
    return int(value) if value.isdigit() else None
