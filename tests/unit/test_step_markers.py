import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.runs.event import AgentEvent, AgentText, PlanChanged, PlanItem, ToolStarted
from core.domain.runs.run import StopReason
from core.domain.runs.step import Step, StepStatus
from core.domain.steps.fold import count_left, end_steps, fold_steps
from core.domain.steps.kinds import marker_total
from core.domain.steps.markers import MAX_NUMBER, StepMarker, read_marker

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PENDING, DOING, DONE = StepStatus.PENDING, StepStatus.IN_PROGRESS, StepStatus.COMPLETED


def said(text: str, *, is_subagent: bool = False) -> AgentText:
    return AgentText(text=text, is_subagent=is_subagent)


def used(name: str) -> ToolStarted:
    return ToolStarted(tool_use_id=name, name=name, summary="")


def shape(steps: tuple[Step, ...]) -> list[tuple[int, str, StepStatus]]:
    return [(step.step_id, step.name, step.status) for step in steps]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Step 2/5: Write tests", StepMarker(number=2, total=5, name="Write tests")),
        ("## Step 3 – Ship it", StepMarker(number=3, name="Ship it")),
        ("### Step 3 Ship it", StepMarker(number=3, name="Ship it")),
        ("**Step 1: Read the code**", StepMarker(number=1, name="Read the code")),
        ("**Step 1:** Read the code", StepMarker(number=1, name="Read the code")),
        ("- **Step 4 of 6** - Deploy", StepMarker(number=4, total=6, name="Deploy")),
        ("[Step 2/3] Build", StepMarker(number=2, total=3, name="Build")),
        ("Phase 2: Build", StepMarker(number=2, name="Build")),
        ("STEP 7. Clean up", StepMarker(number=7, name="Clean up")),
        ("Step 2/5", StepMarker(number=2, total=5)),
        ("## Step 2", StepMarker(number=2)),
        ("That works.\n\nStep 2: Write tests\nI begin.", StepMarker(number=2, name="Write tests")),
        ("Step 9/5: More", StepMarker(number=9, name="More")),
        ("Step 2: done ✅", StepMarker(number=2, is_finished=True)),
        ("Step 2/5 complete.", StepMarker(number=2, total=5, is_finished=True)),
    ],
)
def test_a_text_announces_a_step(text: str, expected: StepMarker) -> None:
    assert read_marker(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Step 2 needs more thought",
        "See step 2: it is wrong",
        "As in Step 2: nothing",
        "Step two: write",
        "Step 2.",
        "Step 2",
        "Step 0: nothing",
        "Step 101: nothing",
        "Steps 2: write",
        "Stepping 2: write",
        "```\nStep 2: in code\n```",
        "## Step 1: Read\nDid it.\n## Step 2: Write\nDid it.",
        "My plan:\n- Step 1: Read\n- Step 2: Write",
    ],
)
def test_other_texts_announce_none(text: str) -> None:
    assert read_marker(text) is None


def test_announced_steps_follow_each_other() -> None:
    steps = fold_steps((), (), [said("Step 1: Read"), used("Read")], now=NOON)
    steps = fold_steps(
        steps, (), [said("Step 2: Write"), used("Edit"), used("Bash")], now=NOON + timedelta(1)
    )

    assert shape(steps) == [(1, "Read", DONE), (2, "Write", DOING)]
    assert [step.tools_used for step in steps] == [("Read",), ("Edit", "Bash")]
    assert steps[0].duration == timedelta(1)


def test_a_total_shows_the_steps_to_come() -> None:
    steps = fold_steps((), (), [said("Step 2/4: Write")], now=NOON)

    assert shape(steps) == [
        (1, "Step 1", DONE),
        (2, "Write", DOING),
        (3, "Step 3", PENDING),
        (4, "Step 4", PENDING),
    ]
    assert steps[0].started_at is None
    assert {marker_total(step) for step in steps} == {4}


def test_a_step_that_is_announced_again_is_the_same_step() -> None:
    texts = [said("Step 1: Read"), said("Step 2: Write"), said("Step 1: Read again")]

    steps = fold_steps((), (), texts, now=NOON)

    assert shape(steps) == [(1, "Read again", DOING), (2, "Write", DONE)]


def test_announced_steps_replace_phases_and_a_plan_replaces_both() -> None:
    steps = fold_steps((), (), [used("Read"), said("Step 1: Write")], now=NOON)
    plan = PlanChanged(items=(PlanItem(source_id="1", name="A", status=DOING),))
    planned = fold_steps(steps, (), [plan, said("Step 2/9: More")], now=NOON)

    assert shape(steps) == [(1, "Write", DOING)]
    assert shape(planned) == [(1, "A", DOING)]


def test_a_subagents_text_announces_nothing() -> None:
    assert fold_steps((), (), [said("Step 1: Read", is_subagent=True)], now=NOON) == ()


def test_a_success_ends_the_announced_step_and_leaves_nothing_to_do() -> None:
    steps = fold_steps((), (), [said("Step 2/3: Write")], now=NOON)

    ended = end_steps(steps, stop_reason=StopReason.SUCCESS, now=NOON)

    assert [step.status for step in ended] == [DONE, DONE, PENDING]
    assert count_left(ended) == 0


def test_a_step_keeps_what_the_agent_said_last_in_it() -> None:
    plan = (PlanItem(source_id="1", name="A", status=DOING),)
    done = PlanChanged(items=(PlanItem(source_id="1", name="A", status=DONE),))
    events: list[AgentEvent] = [
        said("I look."),
        said("\n\nThe parser works.\nMore."),
        done,
        said("Now the next."),
    ]

    (step,) = fold_steps((), plan, events, now=NOON)

    assert step.result == "The parser works."


@given(st.text(max_size=300))
def test_no_text_makes_the_reading_fail(text: str) -> None:
    found = read_marker(f"Step {text}")

    assert found is None or 1 <= found.number <= MAX_NUMBER


@given(st.lists(st.tuples(st.integers(0, 120), st.none() | st.integers(0, 120)), max_size=30))
def test_any_order_of_markers_gives_steps_in_order(markers: list[tuple[int, int | None]]) -> None:
    steps: tuple[Step, ...] = ()
    for number, total in markers:
        of = "" if total is None else f"/{total}"
        steps = fold_steps(steps, (), [said(f"Step {number}{of}: Name {number}")], now=NOON)

        ids = [step.step_id for step in steps]
        assert ids == sorted(set(ids))
        assert len(ids) <= MAX_NUMBER
        assert sum(step.status is DOING for step in steps) <= 1


@pytest.mark.parametrize(
    "part", ["Step 1", "Step ", " ", "#", "*", "Step 1/", "\n", "Step 1: ", "`"]
)
def test_the_reading_takes_linear_time(part: str) -> None:
    began = time.process_time()
    read_marker((part * 500_000)[:500_000])

    assert time.process_time() - began < 3
