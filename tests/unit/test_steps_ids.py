"""The ids of steps: kept over a list that is rewritten, another attempt, and another leg."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.runs.event import AgentEvent, AgentText, PlanChanged, PlanItem, ToolStarted
from core.domain.runs.run import StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.steps.fold import count_left, end_steps, fold_steps
from core.domain.steps.planned import MAX_STEPS, plan_from_steps, steps_for_next_leg

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PENDING, DOING, DONE, SKIPPED = (
    StepStatus.PENDING,
    StepStatus.IN_PROGRESS,
    StepStatus.COMPLETED,
    StepStatus.SKIPPED,
)


def plan(*items: tuple[str, StepStatus], first_id: int = 1) -> tuple[PlanItem, ...]:
    return tuple(
        PlanItem(source_id=str(number), name=name, status=status)
        for number, (name, status) in enumerate(items, start=first_id)
    )


def after(*plans: tuple[PlanItem, ...]) -> tuple[Step, ...]:
    return fold_steps((), (), [PlanChanged(items=items) for items in plans], now=NOON)


def shape(steps: tuple[Step, ...]) -> list[tuple[int, str, StepStatus]]:
    return [(step.step_id, step.name, step.status) for step in steps]


def test_an_item_inserted_in_front_does_not_move_the_others() -> None:
    steps = after(
        plan(("Read", DONE), ("Write", DOING)),
        plan(("Ask", PENDING), ("Read", DONE), ("Write", DOING)),
    )

    assert shape(steps) == [(1, "Read", DONE), (2, "Write", DOING), (3, "Ask", PENDING)]


def test_an_item_that_leaves_the_list_stays_completed_or_is_dropped() -> None:
    steps = after(plan(("Read", DONE), ("Write", DOING), ("Test", PENDING)), plan(("Test", DOING)))

    assert shape(steps) == [(1, "Read", DONE), (2, "Write", SKIPPED), (3, "Test", DOING)]
    assert count_left(steps) == 1


def test_a_new_list_after_a_finished_one_has_new_ids() -> None:
    steps = after(
        plan(("Read", DONE), ("Write", DONE)), plan(("Fix review", PENDING), ("Ship", PENDING))
    )

    assert shape(steps) == [
        (1, "Read", DONE),
        (2, "Write", DONE),
        (3, "Fix review", PENDING),
        (4, "Ship", PENDING),
    ]


def test_a_dropped_item_that_returns_has_its_old_id() -> None:
    steps = after(plan(("Read", DOING)), plan(("Write", DOING), ("X", PENDING)))
    steps = fold_steps(
        steps, (), [PlanChanged(items=plan(("X", DOING), ("Read", DOING)))], now=NOON
    )

    names = {step.name: step.step_id for step in steps}
    assert len(names) == len(steps)
    assert names["X"] == 2


def test_the_next_leg_keeps_ids_and_begins_with_nothing_done_in_it() -> None:
    first = after(plan(("Read", DONE), ("Write", DOING)), plan(("Write", DOING), ("Test", PENDING)))
    tool = ToolStarted(tool_use_id="t", name="Edit", summary="")
    first = fold_steps(first, (), [tool], now=NOON)
    first = end_steps(first, stop_reason=StopReason.MAX_TURNS, now=NOON)

    begun = steps_for_next_leg(first)
    later = NOON + timedelta(minutes=5)
    second = fold_steps(begun, plan_from_steps(first), [tool], now=later)
    second = fold_steps(
        second,
        (),
        [PlanChanged(items=plan(("Write", DONE), ("Test", DOING), ("Ship", PENDING)))],
        now=later,
    )

    assert shape(second) == [
        (1, "Read", DONE),
        (2, "Write", DONE),
        (3, "Test", DOING),
        (4, "Ship", PENDING),
    ]
    assert all(step.tool_calls == 0 for step in begun)
    assert second[0].completed_at is None
    assert second[1].completed_at == later


def test_what_stands_in_for_a_plan_is_left_behind_by_the_next_leg() -> None:
    phases = fold_steps((), (), [ToolStarted(tool_use_id="t", name="Read", summary="")], now=NOON)

    assert steps_for_next_leg(phases) == ()


def test_a_list_that_is_rewritten_again_and_again_is_bounded() -> None:
    steps: tuple[Step, ...] = ()
    for number in range(MAX_STEPS * 2):
        for status in (PENDING, DONE):
            listed = PlanChanged(items=plan((f"Task {number}", status)))
            steps = fold_steps(steps, (), [listed], now=NOON)

    assert len(steps) == MAX_STEPS
    assert steps[-1].step_id == MAX_STEPS * 2


NAMES = st.sampled_from(["A", "B", "C", "D", "E"]) | st.text(max_size=3)
ITEMS = st.lists(st.tuples(NAMES, st.sampled_from(StepStatus)), max_size=6)
EVENTS: st.SearchStrategy[AgentEvent] = st.one_of(
    st.builds(lambda items: PlanChanged(items=plan(*items)), ITEMS),
    st.builds(
        lambda name, helper: ToolStarted(
            tool_use_id="t", name=name, summary="", is_subagent=helper
        ),
        st.sampled_from(["Read", "Edit", "Bash", "TaskUpdate", "Task", "mcp__x__y"]),
        st.booleans(),
    ),
    st.builds(AgentText, text=st.sampled_from(["Step 1: A", "Step 2/3: B", "Hm.", "## Step 3"])),
)


@given(st.lists(EVENTS, max_size=25))
def test_ids_are_never_given_twice(events: list[AgentEvent]) -> None:
    steps: tuple[Step, ...] = ()
    highest = 0
    for event in events:
        before = {step.step_id for step in steps}
        is_list = isinstance(event, PlanChanged) and event.items
        was_plan = steps and all(
            step.source_id is None or step.source_id.isdecimal() for step in steps
        )
        steps = fold_steps(steps, (), [event], now=NOON)

        ids = [step.step_id for step in steps]
        assert ids == sorted(set(ids))
        if is_list and was_plan:
            assert before <= set(ids)
            assert all(new > highest for new in set(ids) - before)
        highest = max(ids, default=0)


@given(st.lists(EVENTS, max_size=25), st.sampled_from(StopReason))
def test_no_step_is_in_progress_after_the_end(events: list[AgentEvent], reason: StopReason) -> None:
    steps = end_steps(fold_steps((), (), events, now=NOON), stop_reason=reason, now=NOON)

    assert not any(step.status is DOING for step in steps)


@given(st.lists(EVENTS, max_size=25))
def test_steps_do_not_depend_on_how_events_are_grouped(events: list[AgentEvent]) -> None:
    steps: tuple[Step, ...] = ()
    for event in events:
        steps = fold_steps(steps, (), [event], now=NOON)

    assert fold_steps((), (), events, now=NOON) == steps


@given(ITEMS, st.lists(EVENTS, max_size=10))
def test_the_same_list_again_changes_nothing(
    items: list[tuple[str, StepStatus]], events: list[AgentEvent]
) -> None:
    listed = plan(*items)
    steps = fold_steps((), (), [*events, PlanChanged(items=listed)], now=NOON)

    again = fold_steps(steps, listed, [PlanChanged(items=listed)], now=NOON + timedelta(hours=1))

    assert again == steps


@pytest.mark.parametrize("helper", [True, False])
def test_calls_of_subagents_are_no_work_of_a_step(helper: bool) -> None:
    call = ToolStarted(tool_use_id="t", name="Read", summary="", is_subagent=helper)

    (step,) = fold_steps((), plan(("A", DOING)), [call], now=NOON)

    assert step.tool_calls == (0 if helper else 1)
