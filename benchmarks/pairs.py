"""Two things measured in turns, so that each measurement has a neighbour to be compared with.

Other load changes more slowly than that.  On a machine whose host is busy it does not; since other
load only adds time, the first quartiles say more there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from benchmarks.results import line, median, quick_ratio, ratios, spread

OursT = TypeVar("OursT")
BaselineT = TypeVar("BaselineT")


async def measured_pairs(
    ours: Callable[[], Awaitable[OursT]],
    baseline: Callable[[], Awaitable[BaselineT]],
    *,
    count: int,
) -> tuple[list[OursT], list[BaselineT]]:
    """Measure pairs in changing order; one more pair before them is a warm-up, and is left out."""
    own: list[OursT] = []
    others: list[BaselineT] = []
    for number in range(count + 1):
        if number % 2:
            one, other = await ours(), await baseline()
        else:
            other, one = await baseline(), await ours()
        if number:
            own.append(one)
            others.append(other)
    return own, others


def compare(name: str, what: str, ours: list[float], baseline: list[float]) -> None:
    """Print the samples with and without something, and their ratios."""
    line(f"{name}, with {what}", spread(ours))
    line("  without", spread(baseline))
    line("  ratio of pairs", spread(ratios(ours, baseline), unit="×", digits=3))
    line("  ratio of medians", f"{median(ours) / median(baseline):.3f} ×")
    line("  ratio of the first quartiles", quick_ratio(ours, baseline))
    line("  ratio of the fastest", f"{min(ours) / min(baseline):.3f} ×")
