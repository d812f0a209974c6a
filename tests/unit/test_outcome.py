from typing import Any

import pytest

from core.domain.runs.outcome import Outcome, OutcomeReason, outcome_of, outcome_reasons
from core.domain.runs.run import StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.steps.fold import count_left, end_steps
from tests.unit.view_helpers import NOW

CLEAN: dict[str, Any] = {
    "failed_tests": 0,
    "commits": 1,
    "has_uncommitted": False,
    "steps_left": 0,
    "may_change": True,
}


def reasons(**changed: object) -> tuple[OutcomeReason, ...]:
    return outcome_reasons(**(CLEAN | changed))


def test_a_commit_and_passing_tests_are_clean() -> None:
    assert reasons() == ()
    assert outcome_of(()) is Outcome.CLEAN


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"failed_tests": 1}, OutcomeReason.TESTS_FAILED),
        ({"commits": 0}, OutcomeReason.NOTHING_COMMITTED),
        ({"steps_left": 2}, OutcomeReason.STEPS_LEFT),
        ({"has_uncommitted": True}, OutcomeReason.UNCOMMITTED_CHANGES),
    ],
)
def test_each_piece_of_evidence_is_a_reason(
    changed: dict[str, object], reason: OutcomeReason
) -> None:
    assert reasons(**changed) == (reason,)
    assert outcome_of((reason,)) is Outcome.ATTENTION


def test_what_is_unknown_is_no_reason() -> None:
    assert reasons(failed_tests=None, commits=None) == ()


def test_a_workflow_that_may_not_change_anything_has_nothing_to_commit() -> None:
    assert reasons(commits=0, may_change=False) == ()


def test_a_step_that_was_never_ticked_off_is_left_after_a_success() -> None:
    plan = (
        Step(step_id=1, name="A", status=StepStatus.COMPLETED),
        Step(step_id=2, name="B", status=StepStatus.IN_PROGRESS, started_at=NOW),
        Step(step_id=3, name="C"),
        Step(step_id=4, name="D", status=StepStatus.SKIPPED),
    )

    ended = end_steps(plan, stop_reason=StopReason.SUCCESS, now=NOW)

    assert count_left(ended) == 2
    assert [step.is_interrupted for step in ended] == [False, True, False, False]


def test_the_kinds_of_work_that_stand_in_for_a_plan_leave_nothing() -> None:
    phases = (Step(step_id=1, name="Run", source_id="phase:run", status=StepStatus.IN_PROGRESS),)

    assert count_left(end_steps(phases, stop_reason=StopReason.SUCCESS, now=NOW)) == 0
