"""What it costs to run agents in namespaces of their own.

The same run of 60 tool turns goes through two Signalboxes, of which one isolates its agents and the
other does not.  They alternate, in changing order, and a ratio compares neighbours: other load
changes more slowly than that.  On a machine whose host is busy it does not; since other load only
adds time, the first quartiles say more there.  The first pair is a warm-up and is excluded.
"""

from __future__ import annotations

from benchmarks.environment import isolation_status, open_bench
from benchmarks.results import heading, line, median, quick_ratio, ratios, spread
from benchmarks.spine_overhead import STAGES, TURNS, SpineRun, run_through_spine
from core.domain.isolation import IsolationMode


async def measure(*, repetitions: int = 7) -> None:
    """Measure and print the results."""
    heading("isolation", f"start and {TURNS} tool turns, with isolation ÷ without")
    status = isolation_status()
    if not status.is_active:
        line("not measured", status.detail)
        return
    line("isolation", status.detail)
    isolated: list[SpineRun] = []
    open_runs: list[SpineRun] = []
    async with (
        open_bench(isolation=IsolationMode.REQUIRED) as with_isolation,
        open_bench(isolation=IsolationMode.NONE) as without,
    ):
        for number in range(repetitions + 1):
            if number % 2:
                one = await run_through_spine(with_isolation)
                other = await run_through_spine(without)
            else:
                other = await run_through_spine(without)
                one = await run_through_spine(with_isolation)
            if number:
                isolated.append(one)
                open_runs.append(other)
    _compare("running to ended", [r.running for r in isolated], [r.running for r in open_runs])
    _compare("CPU", [r.cpu for r in isolated], [r.cpu for r in open_runs])
    for stage in STAGES:
        _compare(stage, [r.stages[stage] for r in isolated], [r.stages[stage] for r in open_runs])


def _compare(name: str, isolated: list[float], open_runs: list[float]) -> None:
    line(f"{name}, with isolation", spread(isolated))
    line("  without", spread(open_runs))
    line("  ratio of pairs", spread(ratios(isolated, open_runs), unit="×"))
    line("  ratio of medians", f"{median(isolated) / median(open_runs):.3f} ×")
    line("  ratio of the first quartiles", quick_ratio(isolated, open_runs))
    line("  ratio of the fastest", f"{min(isolated) / min(open_runs):.3f} ×")
