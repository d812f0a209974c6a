"""How often `failure_rate` fires though nothing has changed: `python -m tests.alerts.false_alarms`.

Every history has a constant rate of failures, so whatever fires is a false alarm.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.domain.alerts.trends.failure_rate import (
    CLEAR_RUNS,
    LEAST_BEFORE,
    WINDOWS,
    EndedRun,
    failure_rate,
    has_cleared,
)
from core.domain.alerts.trends.statistics import Proportion

RATES = (0.02, 0.07, 0.20)
# As many runs as a busy workflow has in 30 days; each end is one evaluation.
RUNS = 100
_BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
_FIRST = min(WINDOWS) + LEAST_BEFORE
_NEWEST = max(*WINDOWS, CLEAR_RUNS)


@dataclass
class FalseAlarms:
    """What was counted.

    Attributes:
        evaluations: Looks at a history in which anything could be said.
        raised: Those of them in which the condition held.
        alerts: Alerts that began; one lasts until it is cleared.
    """

    evaluations: int = 0
    raised: int = 0
    alerts: int = 0

    @property
    def share(self) -> float:
        """The share of evaluations in which the condition held."""
        return self.raised / self.evaluations


def false_alarms(rate: float, *, histories: int, seed: int) -> FalseAlarms:
    """Simulate histories of `RUNS` runs that fail at a constant rate."""
    random_source = random.Random(seed)
    counted = FalseAlarms()
    for _ in range(histories):
        runs = [
            EndedRun(at=_BEGIN + timedelta(hours=hour), is_failure=random_source.random() < rate)
            for hour in range(RUNS)
        ]
        _look_at(runs, counted)
    return counted


def _look_at(runs: Sequence[EndedRun], counted: FalseAlarms) -> None:
    firing: tuple[int, datetime] | None = None
    failures = sum(run.is_failure for run in runs[: _FIRST - 1])
    for count in range(_FIRST, len(runs) + 1):
        failures += runs[count - 1].is_failure
        newest = runs[max(count - _NEWEST, 0) : count][::-1]
        baseline = Proportion(cases=failures, total=count)
        rate = failure_rate(newest, baseline)
        counted.evaluations += 1
        if rate is not None and rate.is_raised:
            counted.raised += 1
            counted.alerts += firing is None
            firing = rate.recent.total, newest[0].at if firing is None else firing[1]
        elif firing is not None and has_cleared(
            newest, baseline, window=firing[0], fired_at=firing[1]
        ):
            firing = None


def main() -> int:
    """Print the shares; the exit code is 1 if one is above 1 %."""
    parser = argparse.ArgumentParser(prog="python -m tests.alerts.false_alarms")
    parser.add_argument("--histories", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rates", type=float, nargs="*", default=list(RATES))
    given = parser.parse_args()
    worst = 0.0
    for rate in given.rates:
        counted = false_alarms(rate, histories=given.histories, seed=given.seed)
        worst = max(worst, counted.share)
        sys.stdout.write(
            f"{rate:.0%} of runs fail: {counted.raised} of {counted.evaluations} evaluations fire "
            f"({counted.share:.3%}); one alert in "
            f"{counted.evaluations / max(counted.alerts, 1):.0f} runs\n"
        )
        sys.stdout.flush()
    return 1 if worst > 0.01 else 0


if __name__ == "__main__":
    sys.exit(main())
