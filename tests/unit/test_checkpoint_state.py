"""When a checkpoint is due, and which step it names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.domain.runs.step import Step, StepStatus
from core.runner.checkpoints.state import CheckpointState

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def step(number: int, *, began: int | None = None, ended: int | None = None) -> Step:
    """A step that began and ended so many seconds after the start."""
    status = StepStatus.PENDING if began is None else StepStatus.IN_PROGRESS
    return Step(
        step_id=number,
        name=f"Step {number}",
        status=status if ended is None else StepStatus.COMPLETED,
        started_at=None if began is None else NOW + timedelta(seconds=began),
        completed_at=None if ended is None else NOW + timedelta(seconds=ended),
    )


def test_the_end_of_a_step_makes_a_checkpoint_due_once() -> None:
    state = CheckpointState()
    state.begin_with(())
    state.follow((step(1, began=0), step(2)))
    assert not state.step_ended.is_set()

    state.follow((step(1, began=0, ended=3), step(2, began=3)))
    assert state.step_ended.is_set()
    assert state.ended_step == step(1, began=0, ended=3)
    state.step_ended.clear()
    state.follow((step(1, began=0, ended=3), step(2, began=3), step(3)))

    assert not state.step_ended.is_set()


def test_a_step_that_is_opened_and_ended_again_is_another_end() -> None:
    state = CheckpointState()
    state.begin_with((step(1, began=0, ended=3),))
    state.follow((step(1, began=0),))
    assert not state.step_ended.is_set()

    state.follow((step(1, began=0, ended=9),))

    assert state.step_ended.is_set()


def test_ends_of_earlier_legs_are_no_news() -> None:
    earlier = (step(1, began=0, ended=3), step(2))
    state = CheckpointState()
    state.begin_with(earlier)

    state.follow(tuple(replace(one) for one in earlier))

    assert not state.step_ended.is_set()


def test_the_present_step_is_the_one_in_progress_or_the_last_that_was_begun() -> None:
    state = CheckpointState()
    assert state.present_step is None
    state.follow((step(1, began=0, ended=3), step(2, began=1), step(3)))
    assert state.present_step == step(2, began=1)

    state.follow((step(1, began=0, ended=3), step(2, began=1, ended=9), step(3)))

    assert state.present_step == step(2, began=1, ended=9)
