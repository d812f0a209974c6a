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

_BENCHMARKS = {
    "spine_overhead": spine_overhead.measure,
    "acknowledgement": acknowledgement.measure,
    "drawing": drawing.measure,
    "idle": idle.measure,
    "isolation": isolation.measure,
    "kill": kill.measure,
    "kill-big": kill_big.measure,
    "streams": streams.measure,
}


async def _run(names: list[str], repetitions: int | None) -> None:
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}")
    for name in names:
        given = {} if repetitions is None else {"repetitions": repetitions}
        await _BENCHMARKS[name](**given)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=inspect.cleandoc(__doc__ or "")
    )
    parser.add_argument("names", nargs="*", choices=[*_BENCHMARKS, []], metavar="name")
    parser.add_argument("--repetitions", type=int, help="instead of each benchmark's own number")
    given = parser.parse_args()
    asyncio.run(_run(given.names or list(_BENCHMARKS), given.repetitions))


if __name__ == "__main__":
    main()
