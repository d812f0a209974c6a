"""Which checkpoints are kept, and on which a new one stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from core.domain.runs.checkpoint import Checkpoint, CheckpointReason, NotStored
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy, find_basis

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
POLICY = CheckpointPolicy()
RUNS = [UUID(int=number) for number in (1, 2)]
STEP, LEG, KILL, INTERVAL = (
    CheckpointReason.STEP_ENDED,
    CheckpointReason.LEG_ENDED,
    CheckpointReason.BEFORE_KILL,
    CheckpointReason.INTERVAL,
)


def checkpoint(
    number: int,
    reason: CheckpointReason = INTERVAL,
    *,
    age: timedelta = timedelta(0),
    run: UUID = RUNS[0],
    step: int | None = None,
    previous: Checkpoint | None = None,
    not_stored: NotStored | None = None,
) -> Checkpoint:
    return Checkpoint(
        id=uuid4(),
        run_id=run,
        session_id=UUID(int=9),
        attempt=1,
        number=number,
        taken_at=NOW - age,
        reason=reason,
        commit="a" * 40,
        step_id=step,
        previous_id=None if previous is None else previous.id,
        not_stored=not_stored,
    )


def kept(checkpoints: list[Checkpoint], **options: object) -> list[int]:
    expired = POLICY.find_expired(checkpoints, now=NOW, **options)  # type: ignore[arg-type]
    return [one.number for one in checkpoints if one not in expired]


def test_every_checkpoint_of_the_last_hour_stays() -> None:
    ages = [timedelta(minutes=minutes) for minutes in (59, 30, 1)]

    assert kept([checkpoint(n, age=age) for n, age in enumerate(ages, start=1)]) == [1, 2, 3]


def test_after_an_hour_one_of_each_step_stays_its_end_first() -> None:
    old = timedelta(hours=2)
    found = [
        checkpoint(1, step=1, age=old),
        checkpoint(2, STEP, step=1, age=old),
        checkpoint(3, step=2, age=old),
        checkpoint(4, step=2, age=old),
        checkpoint(5, LEG, step=2, age=old),
    ]

    assert kept(found) == [2, 4, 5]


def test_after_a_week_one_of_each_leg_stays() -> None:
    old = timedelta(days=8)
    found = [
        checkpoint(1, STEP, step=1, age=old),
        checkpoint(2, LEG, step=1, age=old),
        checkpoint(3, STEP, step=1, run=RUNS[1], age=old),
        checkpoint(4, STEP, step=2, run=RUNS[1], age=old),
        checkpoint(5, KILL, step=2, run=RUNS[1], age=old),
    ]

    assert kept(found) == [2, 5]


def test_of_a_leg_without_an_end_the_last_one_stays() -> None:
    old = timedelta(days=8)
    found = [checkpoint(1, STEP, age=old), checkpoint(2, age=old), checkpoint(3, LEG, run=RUNS[1])]

    assert kept(found) == [2, 3]


def test_protected_ones_and_those_on_which_others_stand_stay() -> None:
    old = timedelta(hours=2)
    first = checkpoint(1, step=1, age=old)
    second = checkpoint(2, step=1, age=old)
    third = checkpoint(3, step=1, age=old)
    found = [first, second, third, checkpoint(4, step=1, previous=first)]

    assert kept(found) == [1, 3, 4]
    assert kept(found, protected={second.id}) == [1, 2, 3, 4]


def test_a_new_one_stands_on_the_newest_that_is_kept_as_long() -> None:
    leg, step = checkpoint(1, LEG), checkpoint(2, STEP)
    interval, lost = checkpoint(3), checkpoint(4, STEP, not_stored=NotStored.TOO_LARGE)
    found = [leg, step, interval, lost]

    assert find_basis(INTERVAL, found) is interval
    assert find_basis(STEP, found) is step
    assert find_basis(LEG, found) is leg
    assert find_basis(KILL, found) is leg
    assert find_basis(LEG, [step, interval]) is None


@st.composite
def histories(draw: st.DrawFn) -> list[Checkpoint]:
    """The checkpoints of a session as workers take them, oldest first."""
    found: list[Checkpoint] = []
    minutes = sorted(draw(st.lists(st.integers(0, 20_000), max_size=25)), reverse=True)
    for number, age in enumerate(minutes, start=1):
        reason = draw(st.sampled_from(list(CheckpointReason)))
        not_stored = draw(st.sampled_from([None, None, None, NotStored.TOO_LARGE]))
        basis = None if not_stored else find_basis(reason, found)
        found.append(
            checkpoint(
                number,
                reason,
                age=timedelta(minutes=age),
                run=draw(st.sampled_from(RUNS)),
                step=draw(st.sampled_from([None, 1, 2])),
                previous=basis,
                not_stored=not_stored,
            )
        )
    return found


@given(histories())
def test_what_is_kept_can_be_restored_and_thinning_again_deletes_nothing(
    found: list[Checkpoint],
) -> None:
    expired = POLICY.find_expired(found, now=NOW)

    left = [one for one in found if one not in expired]
    ids = {one.id for one in left}
    assert all(one.previous_id is None or one.previous_id in ids for one in left)
    assert POLICY.find_expired(left, now=NOW) == []
    assert {one.run_id for one in left} == {one.run_id for one in found}
    if found:
        assert found[-1] in left
    # The newest first, so that none is deleted before one that stands on it.
    numbers = [one.number for one in expired]
    assert numbers == sorted(numbers, reverse=True)
