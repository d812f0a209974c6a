"""`make truth`: generated runs, of which every shown figure is compared with the script's own."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.core_harness import open_core_harness
from tests.truth.campaign import Campaign
from tests.truth.drawing import plan_of
from tests.truth.plan import Disturbance, Plan
from tests.truth.shares import Shares
from tests.truth.steady import steady_plans

# So many of a hundred plans have a worker that is restarted or lost.
_RESTARTED, _LOST = 15, 10
# Beside these there are so many runs of which each is like the others, for their estimates.
_STEADY = 0.15


def main() -> int:
    """Execute plans, and print what is shown and not true."""
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="least number of runs")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another campaign")
    parser.add_argument("--only", type=int, nargs="*", help="only the plans of these numbers")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("claude_agent_sdk").setLevel(logging.CRITICAL)
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        del os.environ[name]
    plans = plans_of(given.seed, given.runs)
    plans += steady_plans(given.seed, round(len(plans) * _STEADY))
    if given.only is not None:
        plans = [plan for plan in plans if plan.number in given.only]
    began = time.monotonic()
    found, runs, shares = asyncio.run(_run(plans))
    _say(*found, *shares.lines())
    _say(
        f"{runs} runs of {len(plans)} sessions with seed {given.seed} in "
        f"{time.monotonic() - began:.0f} s: {len(found)} differences"
    )
    return 0 if not found and shares.is_enough else 1


def plans_of(seed: int, runs: int) -> list[Plan]:
    """The first plans of a campaign that together have so many runs."""
    plans: list[Plan] = []
    while sum(len(plan.legs) for plan in plans) < runs:
        number = len(plans)
        place = number % 100
        disturbance = (
            Disturbance.RESTARTED
            if place < _RESTARTED
            else Disturbance.LOST
            if place < _RESTARTED + _LOST
            else Disturbance.NONE
        )
        plans.append(plan_of(seed, number, disturbance=disturbance))
    return plans


async def _run(plans: list[Plan]) -> tuple[list[str], int, Shares]:
    with tempfile.TemporaryDirectory(prefix="signalbox-truth-") as folder:
        async with open_core_harness(Path(folder) / "home", None) as core_harness:
            campaign = Campaign(core_harness, Path(folder), plans, on_progress=_say)
            return await campaign.run(), len(campaign.figures), campaign.shares


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
