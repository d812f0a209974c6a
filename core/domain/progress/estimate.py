"""When a run will probably end, from earlier runs of its workflow.  Pure.

Two ways lead to an estimate, each with its spread; the one with the narrower spread counts:

- the durations of the earlier runs that took longer than this one has taken so far;
- for a run with a plan: how much longer than to the same share of their steps the earlier runs
  took, times the time that this run took to get there.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.progress.completion import StepCount

# With fewer earlier runs nothing is known.
MIN_RUNS = 3


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run of the same workflow that completed its task.

    Attributes:
        step_ends: When its steps were completed, since its start, in order.
        steps: The number of its steps; 0 if it had no plan.
        is_continuation: Whether it continued an earlier run.
        task: Tells whether two runs had the same task, see `task_key`.
    """

    duration: timedelta
    task: str = ""
    step_ends: tuple[timedelta, ...] = ()
    steps: int = 0
    is_continuation: bool = False


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How far a run is.

    Attributes:
        elapsed: Since its start.
        count: Its steps; `None` if their number is unknown.
        last_step_end: When its last step was completed, since its start, if one was in this run.
    """

    elapsed: timedelta
    task: str = ""
    count: StepCount | None = None
    last_step_end: timedelta | None = None
    is_continuation: bool = False


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """When a run will probably end.

    Attributes:
        at: The median.
        earliest: A quarter of the comparable runs would have ended by then.
        latest: Three quarters would have ended by then.
        runs: The number of earlier runs that it is drawn from.
    """

    at: datetime
    earliest: datetime
    latest: datetime
    runs: int


@dataclass(frozen=True)
class _Guess:
    """Quartiles of a run's whole duration in seconds.

    Attributes:
        is_alone: Whether they are those of one run, which has no spread: any other guess is better.
    """

    first: float
    median: float
    third: float
    runs: int
    is_alone: bool = False

    @property
    def spread(self) -> float:
        return math.inf if self.is_alone else (self.third - self.first) / self.median


def task_key(task: str) -> str:
    """A short text that is the same for the same task only."""
    return hashlib.sha256(task.strip().encode(errors="replace")).hexdigest()[:16]


def estimate_end(past: Sequence[PastRun], pace: Pace, *, started_at: datetime) -> Estimate | None:
    """When the run will probably end; `None` if earlier runs do not tell.

    They do not if there are fewer than three, or if all of them were over by now.
    """
    comparable = _comparable(past, pace)
    elapsed = pace.elapsed.total_seconds()
    guesses = [
        guess
        for seconds in (_durations(comparable), _by_steps(comparable, pace))
        if (guess := _guess(seconds, elapsed)) is not None
    ]
    if not guesses:
        return None
    best = min(guesses, key=lambda guess: guess.spread)
    return Estimate(
        at=started_at + timedelta(seconds=best.median),
        earliest=started_at + timedelta(seconds=best.first),
        latest=started_at + timedelta(seconds=best.third),
        runs=best.runs,
    )


def _comparable(past: Sequence[PastRun], pace: Pace) -> Sequence[PastRun]:
    """The earlier runs that are most like this one, as long as there are enough of them."""
    likenesses: list[Callable[[PastRun], bool]] = [
        lambda run: run.is_continuation == pace.is_continuation,
        # Of a schedule, for example.
        lambda run: run.task == pace.task,
    ]
    if pace.count is not None:
        total = pace.count.total
        likenesses += [lambda run: run.steps > 0, lambda run: run.steps == total]
    for is_like in likenesses:
        alike = [run for run in past if is_like(run)]
        past = alike if len(alike) >= MIN_RUNS else past
    return past


def _durations(past: Sequence[PastRun]) -> list[float]:
    return [run.duration.total_seconds() for run in past]


def _by_steps(past: Sequence[PastRun], pace: Pace) -> list[float]:
    count, reached = pace.count, pace.last_step_end
    if count is None or reached is None or not count.done:
        return []
    share = count.done / count.total
    found = []
    for run in past:
        # Of a continuation, some steps were completed in the run before.
        if run.steps and len(run.step_ends) == run.steps:
            end = _time_at(run, share)
            if end > 0:
                ratio = run.duration.total_seconds() / end
                found.append(reached.total_seconds() * ratio)
    return found


def _time_at(run: PastRun, share: float) -> float:
    """When a run had done this share of its steps, in seconds; between two steps in proportion."""
    whole, part = divmod(share * run.steps, 1)
    ends = [0.0, *(end.total_seconds() for end in run.step_ends)]
    before = ends[int(whole)]
    after = ends[min(int(whole) + 1, run.steps)]
    return before + part * (after - before)


def _guess(seconds: Sequence[float], elapsed: float) -> _Guess | None:
    """The quartiles of those that are not over yet."""
    if len(seconds) < MIN_RUNS:
        return None
    possible = [one for one in seconds if one > elapsed and math.isfinite(one)]
    if not possible:
        return None
    if len(possible) == 1:
        (only,) = possible
        return _Guess(only, only, only, len(seconds), is_alone=True)
    # As of a sample: the quartiles of all runs are farther apart than those of a few.
    first, median, third = statistics.quantiles(possible, n=4)
    return _Guess(max(first, elapsed), median, third, len(seconds))
