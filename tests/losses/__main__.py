"""`make losses`: runs that lose agent, worker, workspace or home, and must finish the same tree."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.core_harness import open_core_harness
from tests.isolation import found_isolation
from tests.losses.campaign import Losses, Plan, Result, without_isolation


def main() -> int:
    """Run the campaign; print each difference from the undisturbed run."""
    parser = argparse.ArgumentParser(prog="python -m tests.losses", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="number of runs")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", type=int, help="one of the seeds again")
    parser.add_argument("--folder", type=Path, help="where to keep what differs")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        del os.environ[name]
    seeds = range(given.first, given.first + given.seeds)
    plans = [Plan.of(seed) for seed in ([given.only] if given.only is not None else seeds)]
    if found_isolation().isolation is None:
        _say("no isolation on this machine: all runs are without")
        plans = [without_isolation(plan) for plan in plans]
    began = time.monotonic()
    results = asyncio.run(_run(plans, given.folder))
    wrong = [one for one in results if one.problem is not None]
    equal = [one for one in results if one.problem is None and not one.is_missed]
    by_loss = Counter(one.plan.loss.value for one in equal)
    missed = sum(one.is_missed for one in results)
    _say(
        *(f"DIFFERS: {one.plan}: {one.problem}" for one in wrong),
        f"{len(results)} runs in {time.monotonic() - began:.0f} s, {len(wrong)} differ from the "
        f"undisturbed run; equal after the loss of {dict(by_loss)}; {missed} ended before it came",
    )
    return 1 if wrong else 0


async def _run(plans: Sequence[Plan], folder: Path | None) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="signalbox-losses-") as temporary:
        root = folder or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        async with open_core_harness(root / f"bot-{os.getpid()}", None) as harness:
            losses = Losses(harness, root)
            results = []
            for plan in plans:
                result = await losses.carry_out(plan)
                results.append(result)
                legs = f"{result.legs} legs, {result.attempts} attempts"
                late = ", ended before" if result.is_missed else ""
                _say(f"{plan}: {result.problem or 'equal'} ({legs}{late})")
            return results


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
