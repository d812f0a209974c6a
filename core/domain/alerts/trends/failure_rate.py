"""Whether a workflow fails more often than before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.alerts.trends.statistics import Proportion, fisher_greater, wilson_interval

# How many of the newest runs are compared with those before them: a few show a sudden change, more
# a slow one.  Each further number would be another chance of a false alarm.
WINDOWS = (5, 20)
# Runs older than this say nothing about the present.
BASELINE = timedelta(days=30)
# With fewer earlier runs nothing can be said.
LEAST_BEFORE = 10
MAX_P = 0.01
LEAST_FAILURES = 3
LEAST_EXCESS = 0.20
# It is over when chance explains the difference so well, or after so many runs without excess.
CLEAR_P = 0.2
CLEAR_RUNS = 10


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """How a run of the workflow ended.  Stopped runs and those at a usage limit are left out."""

    at: datetime
    is_failure: bool


@dataclass(frozen=True, kw_only=True)
class FailureRate:
    """The newest runs of a workflow against those before them.

    Attributes:
        recent: The newest runs.
        before: The earlier runs of 30 days.
        p: The probability of so many failures by chance alone.
        interval: The 95 % interval of the present share.
        since: When the oldest of the newest runs ended.
    """

    recent: Proportion
    before: Proportion
    p: float
    interval: tuple[float, float]
    since: datetime

    @property
    def excess(self) -> float:
        """By how much the share of failures is higher than before."""
        return self.recent.share - self.before.share

    @property
    def is_raised(self) -> bool:
        """Whether an alert fires."""
        return (
            self.before.total >= LEAST_BEFORE
            and self.recent.cases >= LEAST_FAILURES
            and self.excess >= LEAST_EXCESS
            and self.p < MAX_P
        )


def compare(recent: Sequence[EndedRun], before: Proportion) -> FailureRate:
    """The newest runs against a baseline that does not contain them.

    Args:
        recent: The newest runs, newest first; at least one.
        before: The runs before them, at most 30 days old.
    """
    found = Proportion(cases=sum(run.is_failure for run in recent), total=len(recent))
    return FailureRate(
        recent=found,
        before=before,
        p=fisher_greater(found, before),
        interval=wilson_interval(found),
        since=recent[-1].at,
    )


def failure_rate(newest: Sequence[EndedRun], baseline: Proportion) -> FailureRate | None:
    """The window of the newest runs whose failures are the least likely by chance.

    Args:
        newest: The newest runs, newest first.
        baseline: All runs of the last 30 days, the newest ones included.

    Returns:
        `None` if there are too few runs to say anything.
    """
    rates = [
        rate
        for count in WINDOWS
        if len(newest) >= count
        and (rate := compare(newest[:count], _without(baseline, newest[:count]))).before.total
        >= LEAST_BEFORE
    ]
    return min(rates, key=lambda rate: (not rate.is_raised, rate.p), default=None)


def has_cleared(
    newest: Sequence[EndedRun], baseline: Proportion, *, window: int, fired_at: datetime
) -> bool:
    """Whether an alert that fired is over.

    It is when as many of the newest runs no longer differ from those before them (p > 0.2), or
    when the last 10 runs, all of them after it fired, have no excess.

    Args:
        newest: The newest runs, newest first.
        baseline: All runs of the last 30 days, the newest ones included.
        window: How many runs were compared when it fired.
        fired_at: When the alert fired.
    """
    present = newest[:window]
    if not present or compare(present, _without(baseline, present)).p > CLEAR_P:
        return True
    last = newest[:CLEAR_RUNS]
    are_later = len(last) == CLEAR_RUNS and last[-1].at > fired_at
    return are_later and compare(last, _without(baseline, last)).excess <= 0


def _without(baseline: Proportion, recent: Sequence[EndedRun]) -> Proportion:
    failures = sum(run.is_failure for run in recent)
    return Proportion(
        cases=max(baseline.cases - failures, 0),
        total=max(baseline.total - len(recent), baseline.cases - failures, 0),
    )
