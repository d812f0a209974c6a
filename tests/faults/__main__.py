"""Inject faults into a fleet of real processes: `python -m tests.faults --injections 500`.

Prints a result for each injection and a table by kind of fault; exits with 1 if a promise was
broken.  Details of each violation are in the directory's `evidence`.  An injection that was
not possible, because its victim did not exist, is replaced by another number.  A further call
with the same directory and seed continues where the last one stopped.  `--only 17` or
`--only 10-19` repeats single injections.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import logging
import os
import platform
import sys
import time
from pathlib import Path

from tests.faults.campaign import (
    FLEET_CHECKS_FROM,
    INJECTIONS_PER_FLEET,
    Campaign,
    fleet_check_numbers,
)
from tests.faults.plan import Kind
from tests.faults.results import Progress, delay_summary, results_table


def main() -> int:
    """Parse the command line, run, and report."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.ERROR)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.resume or arguments.folder / f"progress-{arguments.seed}.jsonl"
    progress = Progress.load(path, seed=arguments.seed)
    only = _numbers(arguments.only) if arguments.only else []
    for number in only:
        for number_to_repeat in (number, *fleet_check_numbers(number // INJECTIONS_PER_FLEET)):
            progress.results.pop(number_to_repeat, None)
    wanted = len(only) or arguments.injections
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    _print(
        f"seed {arguments.seed}, {wanted} injections, {arguments.parallel} at a time; "
        f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}"
    )
    began = time.monotonic()
    campaign = Campaign(
        seed=arguments.seed,
        numbers=lambda: only or progress.selected_numbers(wanted),
        parallel=arguments.parallel,
        progress=progress,
        evidence=arguments.folder / "evidence",
        until=began + arguments.minutes * 60,
        kinds=[Kind[name] for name in arguments.kind] or None,
        report=_print,
    )
    asyncio.run(campaign.run())
    results = [
        progress.results[number]
        for number in only or progress.selected_numbers(wanted)
        if number in progress.results
    ]
    done = sum(not one.skipped for one in results)
    fleets = [one for one in progress.results.values() if one.number >= FLEET_CHECKS_FROM]
    violating = [one for one in [*results, *fleets] if one.violations]
    _print(f"\n{results_table([*results, *fleets])}\n")
    _print(delay_summary(results))
    _print(
        f"seed {arguments.seed}: {done} of {wanted} injections done, {len(results) - done} "
        "skipped, "
        f"in {(time.monotonic() - began) / 60:.1f} min (this call), {len(violating)} with "
        "violations"
    )
    if violating:
        _print(f"evidence: {arguments.folder / 'evidence'}")
        _print(
            f"again: python -m tests.faults --seed {arguments.seed} --only {violating[0].number}"
        )
    if violating:
        return 1
    return 0 if (len(results) if only else done) == wanted else 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=inspect.cleandoc(__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--injections", type=int, default=500)
    add("--seed", type=int, default=1)
    add("--minutes", type=float, default=90, help="begin no more injections after this time")
    add("--parallel", type=int, default=4, help="number of concurrent injections")
    add("--folder", type=Path, default=Path("/tmp/signalbox-faults"), help="progress and evidence")
    add("--resume", type=Path, help="the progress file, if not the folder's own")
    add("--only", help="one injection's number, or the first and last of several: 10-19")
    add(
        "--kind",
        action="append",
        default=[],
        choices=[kind.name for kind in Kind],
        help="only this kind (may be repeated); changes what a number means",
    )
    return parser


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _numbers(arguments: str) -> list[int]:
    first, _, last = arguments.partition("-")
    return list(range(int(first), int(last or first) + 1))


if __name__ == "__main__":
    sys.exit(main())
