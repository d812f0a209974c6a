from datetime import UTC, datetime, timedelta

import pytest

from core.domain.runs.event import PlanChanged, PlanItem, ToolStarted
from core.domain.runs.run import StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.steps.fold import end_steps, fold_steps
from core.domain.steps.planned import plan_from_steps
from tests.fakes.recordings import translate_recording

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PENDING, DOING, DONE = StepStatus.PENDING, StepStatus.IN_PROGRESS, StepStatus.COMPLETED


def item(source_id: str, name: str, status: StepStatus = PENDING) -> PlanItem:
    return PlanItem(source_id=source_id, name=name, status=status)


def tool(name: str, *, is_subagent: bool = False) -> ToolStarted:
    return ToolStarted(tool_use_id=name, name=name, summary="", is_subagent=is_subagent)


def later(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_a_step_has_the_times_of_its_start_and_end() -> None:
    steps = fold_steps((), (item("1", "A"),), (), now=NOON)
    steps = fold_steps(steps, (item("1", "A", DOING),), (), now=later(1))
    steps = fold_steps(steps, (item("1", "A", DONE),), (), now=later(3))

    (step,) = steps
    assert (step.started_at, step.completed_at) == (later(1), later(3))
    assert step.duration == timedelta(minutes=2)


def test_folding_the_same_plan_again_changes_nothing() -> None:
    steps = fold_steps((), (item("1", "A", DONE), item("2", "B", DOING)), (), now=NOON)

    assert fold_steps(steps, plan_from_steps(steps), (), now=later(5)) == steps


def test_a_step_never_seen_in_progress_has_no_invented_start() -> None:
    steps = fold_steps((), (item("1", "A"),), (), now=NOON)

    (step,) = fold_steps(steps, (item("1", "A", DONE),), (), now=later(1))

    assert step.started_at is None
    assert step.completed_at == later(1)
    assert step.duration is None


def test_tools_belong_to_the_step_in_progress_at_that_moment() -> None:
    steps = fold_steps(
        (),
        (item("1", "A", DOING), item("2", "B")),
        (
            tool("Bash"),
            tool("Bash"),
            PlanChanged(items=(item("1", "A", DONE), item("2", "B", DOING))),
            tool("Edit"),
            tool("Read", is_subagent=True),
            tool("TaskUpdate"),
        ),
        now=NOON,
    )

    assert [(step.tools_used, step.tool_calls) for step in steps] == [
        (("Bash",), 2),
        (("Edit",), 1),
    ]


def test_a_tool_between_steps_belongs_to_none() -> None:
    steps = fold_steps((), (item("1", "A"),), (tool("Bash"),), now=NOON)

    assert steps[0].tool_calls == 0


def test_a_resumed_step_is_open_again() -> None:
    steps = fold_steps((), (item("1", "A", DOING),), (), now=NOON)
    steps = fold_steps(steps, (item("1", "A", DONE),), (), now=later(1))
    (step,) = fold_steps(steps, (item("1", "A", DOING),), (), now=later(2))

    assert step.started_at == NOON
    assert step.completed_at is None


def test_a_rewritten_list_keeps_the_facts_about_moved_items() -> None:
    steps = fold_steps((), (item("1", "A", DOING), item("2", "B")), (tool("Bash"),), now=NOON)

    steps = fold_steps(
        steps,
        (item("1", "New"), item("2", "A", DONE), item("3", "B")),
        (),
        now=later(1),
    )

    assert [(step.step_id, step.name) for step in steps] == [(1, "A"), (2, "B"), (3, "New")]
    assert steps[0].started_at == NOON
    assert steps[0].tools_used == ("Bash",)
    assert steps[2].started_at is None


def test_a_renamed_item_keeps_its_facts() -> None:
    steps = fold_steps((), (item("1", "A", DOING),), (), now=NOON)

    (step,) = fold_steps(steps, (item("1", "A, better", DOING),), (), now=later(1))

    assert (step.name, step.started_at) == ("A, better", NOON)


def test_without_a_plan_there_is_a_step_for_each_kind_of_work() -> None:
    names = ("Read", "Grep", "Edit", "Bash", "Edit", "mcp__linear__list", "Task")

    steps = fold_steps((), (), [tool(name) for name in names], now=NOON)

    assert [(step.name, step.tool_calls) for step in steps] == [
        ("Look around", 2),
        ("Change files", 2),
        ("Run commands", 1),
        ("Use other tools", 1),
        ("Delegate to helpers", 1),
    ]
    assert [step.status for step in steps] == [DONE, DONE, DONE, DONE, DOING]


def test_a_plan_replaces_phases() -> None:
    steps = fold_steps((), (), (tool("Read"),), now=NOON)

    steps = fold_steps(steps, (), (PlanChanged(items=(item("1", "A"),)),), now=later(1))

    assert [step.name for step in steps] == ["A"]


@pytest.mark.parametrize("reason", [StopReason.AGENT_ERROR, StopReason.API_ERROR])
def test_the_step_in_which_the_agent_failed_has_failed(reason: StopReason) -> None:
    plan = (item("1", "A", DONE), item("2", "B", DOING), item("3", "C"))
    steps = fold_steps((), plan, (), now=NOON)

    ended = end_steps(steps, stop_reason=reason, now=later(1), error="The program crashed.")

    assert [step.status for step in ended] == [DONE, StepStatus.FAILED, PENDING]
    assert ended[1].error == "The program crashed."
    assert [one.status for one in plan_from_steps(ended)] == [DONE, PENDING, PENDING]


@pytest.mark.parametrize(
    "reason",
    [
        StopReason.SUCCESS,
        StopReason.KILLED,
        StopReason.MAX_TURNS,
        StopReason.BUDGET,
        StopReason.TIMEOUT,
        StopReason.USAGE_LIMIT,
        StopReason.WORKER_LOST,
    ],
)
def test_an_interrupted_step_is_pending_again_and_has_not_failed(reason: StopReason) -> None:
    steps = fold_steps((), (item("1", "A", DOING), item("2", "B")), (), now=NOON)

    ended = end_steps(steps, stop_reason=reason, now=later(1), error="It stopped.")

    assert [step.status for step in ended] == [PENDING, PENDING]
    assert [step.is_interrupted for step in ended] == [True, False]
    assert [step.error for step in ended] == [None, None]


def test_the_last_kind_of_work_of_a_successful_run_is_completed() -> None:
    steps = fold_steps((), (), (tool("Read"),), now=NOON)

    ended = end_steps(steps, stop_reason=StopReason.SUCCESS, now=later(1))

    assert [(step.status, step.completed_at) for step in ended] == [(DONE, later(1))]


def test_phases_are_no_plan_to_continue() -> None:
    steps = fold_steps((), (), (tool("Read"),), now=NOON)

    assert plan_from_steps(steps) == ()
    assert plan_from_steps((Step(step_id=1, name="unnumbered"),)) == ()


def test_folding_event_by_event_equals_folding_all_at_once() -> None:
    events = translate_recording("tasks")

    at_once = fold_steps((), (), events, now=NOON)
    steps: tuple[Step, ...] = ()
    for event in events:
        steps = fold_steps(steps, (), (event,), now=NOON)

    assert steps == at_once
    assert [(step.name, step.tools_used) for step in steps] == [
        ("Read", ("Bash",)),
        ("Write", ("Write",)),
    ]
