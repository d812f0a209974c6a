"""The judgement of a run that ended by itself, by the evidence of its last attempt."""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.runs.changes import RunChanges
from core.domain.runs.outcome import READ_ONLY_KEY, TESTS_KEY, outcome_of, outcome_reasons
from core.domain.runs.run import Run
from core.domain.runs.step import Step
from core.domain.runs.work.diff import DiffStat
from core.domain.steps.fold import count_left
from core.domain.test_output.counts import TestCounts
from core.runner.execution.attempt import Attempt


def judged_attempt(attempt: Attempt, diff: DiffStat | None) -> RunChanges:
    """The outcome of a run whose attempt has completed it, and what needs a look.

    Args:
        attempt: The attempt, with its steps closed.
        diff: What the run changed; `None` if that is unknown.
    """
    progress = attempt.progress
    return _judged(
        failed_tests=None if progress.tests is None else progress.tests.failed,
        steps=progress.steps,
        diff=diff,
        may_change=not attempt.definition.read_only,
    )


def judged_run(run: Run, steps: Sequence[Step], diff: DiffStat | None) -> RunChanges:
    """The outcome of a completed run whose changes were measured after its end."""
    tests = TestCounts.of_json(run.metadata.get(TESTS_KEY))
    return _judged(
        failed_tests=None if tests is None else tests.failed,
        steps=steps,
        diff=diff,
        may_change=not run.metadata.get(READ_ONLY_KEY),
    )


def _judged(
    *, failed_tests: int | None, steps: Sequence[Step], diff: DiffStat | None, may_change: bool
) -> RunChanges:
    reasons = outcome_reasons(
        failed_tests=failed_tests,
        commits=None if diff is None else diff.commit_count,
        has_uncommitted=diff is not None and diff.has_uncommitted,
        steps_left=count_left(steps),
        may_change=may_change,
    )
    return {"outcome": outcome_of(reasons), "outcome_reasons": reasons}
