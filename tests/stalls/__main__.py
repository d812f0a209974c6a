"""`make stalls`: many silent runs, of which exactly the hung ones must be told, and in time."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from tests.core_harness import open_core_harness
from tests.stalls.campaign import Campaign, Outcome
from tests.stalls.cases import healthy_cases, hung_cases


def main() -> int:
    """Run the campaign, and print what was told and should not be, or the other way round."""
    parser = argparse.ArgumentParser(prog="python -m tests.stalls", description=__doc__)
    parser.add_argument("--healthy", type=int, default=200, help="number of healthy runs")
    parser.add_argument("--hung", type=int, default=50, help="number of runs that hang")
    parser.add_argument("--pace", type=float, default=2.0, help="1 is the fastest; limits grow")
    parser.add_argument("--at-once", type=int, default=8, help="runs at a time")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another order")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("claude_agent_sdk").setLevel(logging.CRITICAL)
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        del os.environ[name]
    names = [
        *islice(cycle(healthy_cases(given.pace)), given.healthy),
        *islice(cycle(hung_cases(given.pace)), given.hung),
    ]
    random.Random(given.seed).shuffle(names)
    began = time.monotonic()
    outcomes, gap_seconds = asyncio.run(_run(names, given.pace, given.at_once))
    wrong = [one for one in outcomes if one.problem is not None]
    _say(*(f"WRONG: {one.case} {one.run_id}: {one.problem}" for one in wrong))
    _say(
        _figures(outcomes),
        f"{len(outcomes)} runs at pace {given.pace:g} in {time.monotonic() - began:.0f} s; the "
        f"longest gap between evaluations was {gap_seconds:.1f} s: {len(wrong)} are wrong",
    )
    return 1 if wrong or len(outcomes) != len(names) else 0


def _figures(outcomes: Sequence[Outcome]) -> str:
    healthy = [one for one in outcomes if not one.is_hung]
    hung = [one for one in outcomes if one.is_hung]
    delays = sorted(one.delay.total_seconds() for one in hung if one.delay is not None)
    told = sum(one.problem is not None and one.problem.startswith("told") for one in healthy)
    late = (
        f", after the limit by {statistics.median(delays):.1f} s in the median and "
        f"{delays[-1]:.1f} s at most"
        if delays
        else ""
    )
    return (
        f"{told} of {len(healthy)} healthy runs told; {len(delays)} of {len(hung)} hung runs "
        f"told{late}"
    )


async def _run(names: Sequence[str], pace: float, at_once: int) -> tuple[list[Outcome], float]:
    with tempfile.TemporaryDirectory(prefix="signalbox-stalls-") as folder:
        config = f"[worker]\nslots = {at_once}\n"
        async with open_core_harness(Path(folder) / "home", None, config=config) as core_harness:
            campaign = Campaign(core_harness, names, pace, at_once, on_progress=_say)
            outcomes = await campaign.run()
            return outcomes, campaign.longest_gap.total_seconds()


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
