"""The CPU time of the whole machine."""

from __future__ import annotations

import psutil


def busy_cpu_seconds() -> float:
    """CPU seconds that all processes have used since the machine started.

    That of an isolated agent is in no process's own figures: the supervisor of its namespaces
    ends without collecting it.  So a measurement needs an otherwise idle machine.
    """
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
