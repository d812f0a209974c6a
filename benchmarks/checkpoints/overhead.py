"""What checkpoints cost a run.

The same run of 60 tool turns goes through two Signalboxes, of which one takes checkpoints, every
ten seconds besides those of steps and legs, and the other takes none.  They alternate, in changing
order, and a ratio compares neighbours.  The first pair is a warm-up and is excluded.
"""

from __future__ import annotations

from functools import partial

from benchmarks.environment import open_bench
from benchmarks.pairs import compare, measured_pairs
from benchmarks.results import heading
from benchmarks.spine_overhead import TURNS, run_through_spine

_WITH = '[checkpoints]\nevery = "10s"\n'
_WITHOUT = "[checkpoints]\nenabled = false\n"


async def measure(*, repetitions: int = 7) -> None:
    """Measure and print the results."""
    heading("checkpoint-overhead", f"{TURNS} tool turns, with checkpoints ÷ without")
    async with open_bench(settings=_WITH) as taking, open_bench(settings=_WITHOUT) as without:
        ours, baseline = await measured_pairs(
            partial(run_through_spine, taking),
            partial(run_through_spine, without),
            count=repetitions,
        )
    what = "checkpoints"
    compare("running to ended", what, [r.running for r in ours], [r.running for r in baseline])
    compare("CPU", what, [r.cpu for r in ours], [r.cpu for r in baseline])
