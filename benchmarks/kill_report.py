"""The printed report of the kill benchmark."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from benchmarks.kill_kinds import Family, Kill
from benchmarks.results import line, median, percentile
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus

# The longest a kill may take in any case.
_LIMIT_SECONDS = 10


def report(kills: Sequence[Kill], left: set[str]) -> None:
    """Print all results of the kills; `left` are the runs with survivors at the end."""
    stopped = [one for one in kills if one.hit_live_run]
    line("kills", str(len(kills)))
    line("survivors, immediately after each kill", str(sum(one.survivors for one in kills)))
    line("runs with survivors at the end", str(sum(one.run.run_id in left for one in kills)))
    confirmed = sum(one.is_confirmed for one in stopped)
    line("confirmed", f"{confirmed} of {len(stopped)} ({confirmed / max(len(stopped), 1):.2%})")
    for proof, count in Counter(_proof(one) for one in stopped if one.is_confirmed).items():
        line(f"  by {proof}", str(count))
    for status, count in sorted(Counter(one.run.status.value for one in kills).items()):
        line(f"  {status}", str(count))
    for family in Family:
        of_family = [one for one in kills if one.kind.family is family]
        if of_family:
            _report_family(family, of_family)
    slow = sum(one.seconds > _LIMIT_SECONDS for one in stopped)
    line(f"kills that took more than {_LIMIT_SECONDS} s", str(slow))
    _histogram(stopped)


def compare(isolated: Sequence[Kill], baseline: Sequence[Kill]) -> None:
    """Print the times with isolation divided by those without, for the kinds that both have."""
    kinds = {one.kind.name for one in isolated} & {one.kind.name for one in baseline}
    ours, theirs = (
        [one.seconds for one in kills if one.is_confirmed and one.kind.name in kinds]
        for kills in (isolated, baseline)
    )
    for rank in (50, 95, 99):
        one, other = percentile(ours, rank), percentile(theirs, rank)
        ratio = f"{one:.2f} s ÷ {other:.2f} s = {one / other:.2f}"
        line(f"p{rank}, with isolation ÷ without", ratio)


def _proof(kill: Kill) -> str:
    method = kill.termination.proof_by if kill.termination else None
    return str(method) if method else "nothing"


def _report_family(family: Family, kills: Sequence[Kill]) -> None:
    live = [one for one in kills if one.hit_live_run]
    if len(live) < len(kills):
        line(f"{family}, killed before their end", f"{len(live)} of {len(kills)}")
    confirmed = [one for one in live if one.is_confirmed]
    if confirmed:
        line(f"{family}, confirmed after", percentiles([one.seconds for one in confirmed]))
    for name, times in _by_kind(confirmed).items():
        line(f"  {name}", percentiles(times))
    if family is Family.CRITICAL:
        line("  waited for the commit (draining)", f"{sum(map(_has_waited, live))} of {len(live)}")
        line("  left the commit complete", f"{sum(one.is_whole for one in kills)} of {len(kills)}")
    if family is Family.AT_END:
        line("  agent still working", f"{sum(map(_was_interrupted, live))} of {len(live)}")
        own = sum(one.run.status is RunStatus.COMPLETED for one in live)
        line("  ended normally nevertheless", f"{own} of {len(live)}")


def _has_waited(kill: Kill) -> bool:
    termination = kill.termination
    return termination is not None and Phase.DRAINING in termination.phases


def _was_interrupted(kill: Kill) -> bool:
    """Whether the agent was interrupted; otherwise it had already ended, but its run had not."""
    termination = kill.termination
    return termination is not None and Phase.INTERRUPTED in termination.phases


def _by_kind(kills: Iterable[Kill]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in kills:
        found[one.kind.name].append(one.seconds)
    return found if len(found) > 1 else {}


def _histogram(kills: Sequence[Kill]) -> None:
    """Print how many kills reached each phase, and how long they stayed in it."""
    durations: dict[Phase, list[float]] = defaultdict(list)
    for one in kills:
        phases = list((one.termination.phases if one.termination else {}).items())
        for (phase, began), (_, ended) in pairwise(phases):
            durations[phase].append((ended - began) / 1000)
    bounds = (0.1, 0.3, 1, 3, 9)
    line("histogram by phase", "".join(f"{f'<{b} s':>8}" for b in bounds) + f"{'more':>8}")
    for phase in Phase:
        times = durations.get(phase, [])
        if not times:
            continue
        below = [sum(t < b for t in times) for b in bounds] + [len(times)]
        counts = [n - before for n, before in zip(below, [0, *below[:-1]], strict=True)]
        shown = "".join(f"{count:>8}" for count in counts)
        line(f"  {phase}", f"{shown}   median {median(times):.2f} s (n={len(times)})")


def percentiles(samples: Sequence[float]) -> str:
    """The median, the tail and the extremes."""
    parts = ", ".join(f"p{rank} {percentile(samples, rank):.2f}" for rank in (50, 95, 99))
    return f"{parts}, min {min(samples):.2f}, max {max(samples):.2f} s (n={len(samples)})"
