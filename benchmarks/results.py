"""Statistics of samples and their printed form: medians, spread, ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

__all__ = ["heading", "line", "median", "percentile", "quick_ratio", "ratios", "spread"]


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(samples)
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def spread(samples: Sequence[float], *, unit: str = "s", digits: int = 2) -> str:
    """The median with the quartiles and the extremes."""
    low, high = percentile(samples, 25), percentile(samples, 75)
    return (
        f"{median(samples):.{digits}f} {unit} (quartiles {low:.{digits}f} to {high:.{digits}f}, "
        f"extremes {min(samples):.{digits}f} and {max(samples):.{digits}f}, n={len(samples)})"
    )


def ratios(ours: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Each of our samples divided by the baseline sample of the same pair."""
    return [one / other for one, other in zip(ours, baseline, strict=True)]


def quick_ratio(ours: Sequence[float], baseline: Sequence[float]) -> str:
    """The ratio of the first quartiles.

    Other load, of the machine's host too, only adds time, so the quicker runs say most about the
    cost itself.
    """
    return f"{percentile(ours, 25) / percentile(baseline, 25):.3f} ×"


def heading(name: str, what: str) -> None:
    """Print the title of a benchmark's results."""
    print(f"\n{name}: {what}", flush=True)


def line(label: str, value: str) -> None:
    """Print one result."""
    print(f"  {label:<44} {value}", flush=True)
