"""What it costs to run agents in namespaces of their own.

The same run of 60 tool turns goes through two Signalboxes, of which one isolates its agents and the
other does not.  They alternate, in changing order, and a ratio compares neighbours: other load
changes more slowly than that.  On a machine whose host is busy it does not; since other load only
adds time, the first quartiles say more there.  The first pair is a warm-up and is excluded.
"""

from __future__ import annotations

from functools import partial

from benchmarks.environment import isolation_status, open_bench
from benchmarks.pairs import compare, measured_pairs
from benchmarks.results import heading, line
from benchmarks.spine_overhead import STAGES, TURNS, run_through_spine
from core.domain.isolation import IsolationMode


async def measure(*, repetitions: int = 7) -> None:
    """Measure and print the results."""
    heading("isolation", f"start and {TURNS} tool turns, with isolation ÷ without")
    status = isolation_status()
    if not status.is_active:
        line("not measured", status.detail)
        return
    line("isolation", status.detail)
    async with (
        open_bench(isolation=IsolationMode.REQUIRED) as with_isolation,
        open_bench(isolation=IsolationMode.NONE) as without,
    ):
        ours, baseline = await measured_pairs(
            partial(run_through_spine, with_isolation),
            partial(run_through_spine, without),
            count=repetitions,
        )
    what = "isolation"
    compare("running to ended", what, [r.running for r in ours], [r.running for r in baseline])
    compare("CPU", what, [r.cpu for r in ours], [r.cpu for r in baseline])
    for stage in STAGES:
        compare(stage, what, [r.stages[stage] for r in ours], [r.stages[stage] for r in baseline])
