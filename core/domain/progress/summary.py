"""The summary of an ended run: only what its rows prove; everything else is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.progress.achievements import achievements
from core.domain.progress.completion import success_rate
from core.domain.runs.outcome import TESTS_KEY, Outcome
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.step import Step, StepStatus
from core.domain.test_output.counts import TestCounts


@dataclass(frozen=True, kw_only=True)
class WorkflowSummary:
    """What came out of a run.  `None` is unknown.

    Attributes:
        total_steps_completed: Of its steps of any kind; `None` if it had none.
        success_rate: The completed share of its plan, from 0 to 100; `None` without a plan.
        major_achievements: From the agent's own list; `None` if it gave none.
        files_modified: `None` if its changes could not be measured, or are not yet.
        tests_passed: In the last test runs; `None` if none was seen, or not all of one, or if the
            program does not count them.
        tests_failed: In the last test runs, at least; `None` if none was seen.
        deployment_ready: `True` if its tests ran, none failed and nothing is left to do; `False`
            if tests failed, or tests passed and something is left to do; `None` if no test proves
            anything.
    """

    total_steps_completed: int | None
    success_rate: float | None
    major_achievements: tuple[str, ...] | None
    files_modified: int | None
    tests_passed: int | None
    tests_failed: int | None
    deployment_ready: bool | None


def workflow_summary(run: Run, steps: Sequence[Step], final_text: str | None) -> WorkflowSummary:
    """Sum up an ended run."""
    tests = TestCounts.of_json(run.metadata.get(TESTS_KEY))
    completed = sum(step.status is StepStatus.COMPLETED for step in steps)
    return WorkflowSummary(
        total_steps_completed=completed if steps else None,
        success_rate=success_rate(steps),
        major_achievements=achievements(final_text, steps),
        files_modified=None if run.diff is None else run.diff.file_count,
        tests_passed=tests.passed if tests is not None and tests.is_complete else None,
        tests_failed=None if tests is None else tests.failed,
        deployment_ready=_deployment_ready(run, tests),
    )


def _deployment_ready(run: Run, tests: TestCounts | None) -> bool | None:
    if tests is None:
        return None
    if tests.failed:
        return False
    if not tests.is_proof or run.status is not RunStatus.COMPLETED or run.outcome is None:
        return None
    return run.outcome is Outcome.CLEAN
