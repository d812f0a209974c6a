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
    drawing,
    idle,
    isolation,
    kill,
    kill_big,
    spine_overhead,
    streams,
)
from benchmarks.alerts import evaluation, telling
from benchmarks.api import speed

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
    "alert-evaluation": evaluation.measure,
    "alert-telling": telling.measure,
}


async def _run(names: list[str], repetitions: int | None, runs: list[int] | None) -> None:
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}")
    for name in names:
        given: dict[str, Any] = {} if repetitions is None else {"repetitions": repetitions}
        if runs is not None and name in {"api", "alert-evaluation"}:
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
        help="sizes of the databases of `api` and `alert-evaluation` (1000 100000 1000000)",
    )
    given = parser.parse_args()
    asyncio.run(_run(given.names or list(_BENCHMARKS), given.repetitions, given.runs))


if __name__ == "__main__":
    main()
