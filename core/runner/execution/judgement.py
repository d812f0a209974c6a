"""The judgement of a run that ended by itself, by the evidence of its last attempt."""

from __future__ import annotations

from core.agent.steps import count_left
from core.domain.runs.changes import RunChanges
from core.domain.runs.outcome import outcome_of, outcome_reasons
from core.runner.execution.attempt import Attempt, Changes


def judged(attempt: Attempt, changes: Changes | None) -> RunChanges:
    """The outcome of a completed run, and what in its evidence needs a look.

    Args:
        attempt: The attempt, with its steps closed.
        changes: What the run changed; `None` if that could not be read.
    """
    progress = attempt.progress
    diff = None if changes is None else changes.diff
    reasons = outcome_reasons(
        failed_tests=None if progress.tests is None else progress.tests.failed,
        commits=None if diff is None else len(diff.commits),
        has_uncommitted=diff is not None and diff.has_uncommitted,
        steps_left=count_left(progress.steps),
        may_change=not attempt.definition.read_only,
    )
    return {"outcome": outcome_of(reasons), "outcome_reasons": reasons}
