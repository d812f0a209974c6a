"""Run benchmarks: `python -m benchmarks [names] [--repetitions N]`, all of them by default.

Results are ratios against a baseline of the same benchmark run wherever there is one.
Nothing here judges a result: the targets are in the documentation, the machine is yours.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import os
import platform
from typing import Any

from benchmarks import (
    acknowledgement,
    dashboard_pages,
    dashboard_viewers,
    drawing,
    idle,
    isolation,
    kill,
    kill_big,
    log_page,
    resources,
    spine_overhead,
    streams,
)
from benchmarks.alerts import evaluation, telling
from benchmarks.api import speed
from benchmarks.checkpoints import overhead as checkpoint_overhead
from benchmarks.checkpoints import speed as checkpoint_speed

_BENCHMARKS = {
    "spine_overhead": spine_overhead.measure,
    "acknowledgement": acknowledgement.measure,
    "drawing": drawing.measure,
    "idle": idle.measure,
    "isolation": isolation.measure,
    "kill": kill.measure,
    "kill-big": kill_big.measure,
    "api": speed.measure,
    "streams": streams.measure,
    "dashboard-pages": dashboard_pages.measure,
    "dashboard-viewers": dashboard_viewers.measure,
    "log-page": log_page.measure,
    "alert-evaluation": evaluation.measure,
    "alert-telling": telling.measure,
    "resources": resources.measure,
    "checkpoints": checkpoint_speed.measure,
    "checkpoint-overhead": checkpoint_overhead.measure,
}


# Their databases have given numbers of runs.
_SIZED = frozenset({"api", "dashboard-pages", "alert-evaluation"})


async def _run(names: list[str], repetitions: int | None, runs: list[int] | None) -> None:
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}")
    for name in names:
        given: dict[str, Any] = {} if repetitions is None else {"repetitions": repetitions}
        if runs is not None and name in _SIZED:
            given["runs"] = sorted(runs)
        await _BENCHMARKS[name](**given)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=inspect.cleandoc(__doc__ or "")
    )
    parser.add_argument("names", nargs="*", choices=[*_BENCHMARKS, []], metavar="name")
    parser.add_argument("--repetitions", type=int, help="instead of each benchmark's own number")
    parser.add_argument(
        "--runs",
        type=int,
        nargs="+",
        help=f"sizes of the databases of {', '.join(sorted(_SIZED))} (1000 100000 1000000)",
    )
    given = parser.parse_args()
    asyncio.run(_run(given.names or list(_BENCHMARKS), given.repetitions, given.runs))


if __name__ == "__main__":
    main()
