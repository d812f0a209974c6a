"""Which ends of runs say something about their workflow, and which of them are failures."""

from __future__ import annotations

from core.domain.alerts.trends.statistics import Proportion
from core.domain.analytics.figures import Figures
from core.domain.runs.run import RunStatus, StopReason

# Ends that are no failures of the workflow: a limit did its work.
_LIMITS = frozenset({StopReason.MAX_TURNS, StopReason.BUDGET})

# Reasons of completed and of killed runs.
_NO_FAILED_RUN = frozenset({StopReason.SUCCESS, StopReason.KILLED})


def is_judged(status: RunStatus, reason: StopReason | None) -> bool:
    """Whether the end says something about the workflow: nobody stopped it, no usage limit did."""
    return (
        status in {RunStatus.COMPLETED, RunStatus.FAILED} and reason is not StopReason.USAGE_LIMIT
    )


def is_failure(status: RunStatus, reason: StopReason | None) -> bool:
    """Whether the end is a failure of the workflow; turn and budget limits are none."""
    return (
        status is RunStatus.FAILED
        and reason is not StopReason.USAGE_LIMIT
        and reason not in _LIMITS
    )


def failures_among(figures: Figures) -> Proportion:
    """The failures among the judged runs of a part of the history."""
    completed, failed = figures.of_status(RunStatus.COMPLETED), figures.of_status(RunStatus.FAILED)
    reasons = figures.by_stop_reason
    judged = completed + failed - reasons.get(StopReason.USAGE_LIMIT, 0)
    failures = sum(
        count
        for reason, count in reasons.items()
        if reason not in _NO_FAILED_RUN and is_failure(RunStatus.FAILED, reason)
    )
    return Proportion(cases=failures, total=judged)
