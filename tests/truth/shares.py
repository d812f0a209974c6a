"""The shares that a campaign measures: steps, final results, estimates."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from core.domain.actor import Actor
from core.domain.runs.run import Run
from core.services.runs.status import StatusService
from tests.truth.check_programs import is_meaningful
from tests.truth.check_steps import has_steps
from tests.truth.seen import SeenLeg

_SAMPLE_SECONDS = 0.5
# A sample counts as one at half-time if it is so near, in parts of the whole time.
_NEAR = 0.1
_LEAST_MEANINGFUL = 0.95
_ENOUGH_ESTIMATES = 5
_LARGEST_MISS = 0.2


@dataclass(frozen=True)
class Share:
    """How many of so many."""

    part: int
    whole: int

    @property
    def ratio(self) -> float:
        """The share, 1 of nothing."""
        return self.part / self.whole if self.whole else 1.0

    def __str__(self) -> str:
        return f"{self.part} of {self.whole} ({100 * self.ratio:.1f} %)"


@dataclass
class Shares:
    """What is measured of all runs of a campaign.

    Attributes:
        steps: For each run whose agent used tools, whether it has steps.
        results: For each run whose agent said something, whether its final result says it.
        misses: Of each estimate at half-time, how far it was from the end, as a part of the run's
            duration.  Only of runs that are like earlier ones, see `tests/truth/steady.py`.
        unknown: The number of these without an estimate at half-time, as there is no history.
    """

    steps: list[bool] = field(default_factory=list)
    results: list[bool] = field(default_factory=list)
    misses: list[float] = field(default_factory=list)
    unknown: int = 0

    def add(self, seen: SeenLeg) -> None:
        """Count a run that has ended."""
        if seen.figures.own_calls:
            self.steps.append(has_steps(seen))
        if seen.figures.last_words is not None:
            self.results += [is_meaningful(seen, answer) for answer in seen.answers.values()]

    def add_estimates(self, run: Run, samples: list[tuple[datetime, datetime]]) -> None:
        """Count the estimate that was given at the half of a run's time, if there was one."""
        if run.started_at is None or run.completed_at is None or not run.duration:
            return
        half = run.started_at + run.duration / 2
        nearest = min(samples, key=lambda sample: abs(sample[0] - half), default=None)
        if nearest is None or abs(nearest[0] - half) > _NEAR * run.duration:
            self.unknown += 1
            return
        self.misses.append(abs(nearest[1] - run.completed_at) / run.duration)

    @property
    def with_steps(self) -> Share:
        """The share of runs with steps, of those whose agent used tools."""
        return Share(sum(self.steps), len(self.steps))

    @property
    def meaningful(self) -> Share:
        """The share of meaningful final results."""
        return Share(sum(self.results), len(self.results))

    @property
    def median_miss(self) -> float | None:
        """The median of `misses`; `None` if there are too few."""
        return statistics.median(self.misses) if len(self.misses) >= _ENOUGH_ESTIMATES else None

    @property
    def is_enough(self) -> bool:
        """Whether all shares are as they should be."""
        return (
            self.with_steps.ratio == 1
            and self.meaningful.ratio >= _LEAST_MEANINGFUL
            and (self.median_miss or 0) <= _LARGEST_MISS
        )

    def lines(self) -> list[str]:
        """All shares in words."""
        estimate = f"none of {self.unknown} was known"
        if self.misses:
            median = 100 * statistics.median(self.misses)
            estimate = (
                f"off by {median:.0f} % of the run at the median of {len(self.misses)}; "
                f"{self.unknown} had too little history"
            )
        return [
            f"runs with tools that have steps: {self.with_steps}",
            f"final results with the agent's last words: {self.meaningful}",
            f"estimates at half-time of runs like earlier ones: {estimate}",
        ]


@asynccontextmanager
async def sampled_estimates(
    statuses: StatusService, run: Run, *, by: Actor
) -> AsyncIterator[list[tuple[datetime, datetime]]]:
    """Gathers what a run's status estimates, with the time of each estimate."""
    samples: list[tuple[datetime, datetime]] = []

    async def sample() -> None:
        while True:
            report = await statuses.status(run.run_id, by=by)
            enrichment = report.enrichment
            progress = enrichment.progress_summary if enrichment is not None else None
            if progress is not None and progress.estimated_completion is not None:
                samples.append((statuses.context.clock(), progress.estimated_completion.at))
            await asyncio.sleep(_SAMPLE_SECONDS)

    task = asyncio.create_task(sample(), name=f"sample {run.run_id}")
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.wait({task})
