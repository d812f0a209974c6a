"""The machine: what it is, what it has, and the CPU time that it has used."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import psutil


def busy_cpu_seconds() -> float:
    """CPU seconds that all processes have used since the machine started.

    That of an isolated agent is in no process's own figures: the supervisor of its namespaces
    ends without collecting it.  So a measurement needs an otherwise idle machine.
    """
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def machine_line() -> str:
    """The machine in a line: processor, memory, system, Python."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} × {_processor()}, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )


def chromium_program() -> str:
    """A Chromium of this machine, if possible the one that people have.

    Raises:
        RuntimeError: If there is none.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise RuntimeError("no Chromium: run `sh tests/browser/install-chromium.sh`")
    return program


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
