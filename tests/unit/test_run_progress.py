import random
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.progress.activity import WAITING_WORDS, recent_activity
from core.domain.progress.completion import StepCount, step_count, success_rate
from core.domain.progress.estimate import Estimate, Pace, PastRun, estimate_end, task_key
from core.domain.runs.activity.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, RunStatus, WaitingOn
from core.domain.runs.step import Step, StepStatus
from core.domain.steps.kinds import marker_source
from tests.database import NOW, new_run

PENDING, DOING, DONE, SKIPPED = (
    StepStatus.PENDING,
    StepStatus.IN_PROGRESS,
    StepStatus.COMPLETED,
    StepStatus.SKIPPED,
)


def running(**fields: Any) -> Run:
    begun = new_run(uuid4(), status=RunStatus.RUNNING, started_at=NOW, last_activity_at=NOW)
    awaited = Awaited(kind=AwaitedKind.MODEL, since=NOW, heard_at=NOW)
    return replace(begun, metadata={AWAITED_KEY: awaited.to_json()}, **fields)


def call(name: str, summary: str = "", **data: object) -> EventRecord:
    found = {"name": name, "summary": summary, **data}
    return EventRecord(kind=EventKind.TOOL_STARTED, at=NOW, data=found)


def text(words: str) -> EventRecord:
    return EventRecord(kind=EventKind.AGENT_TEXT, at=NOW, data={"text": words})


def steps(*statuses: StepStatus) -> list[Step]:
    return [
        Step(step_id=number, name=f"S{number}", status=status, source_id=str(number))
        for number, status in enumerate(statuses, start=1)
    ]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([call("Edit", "core/a.py")], "Editing core/a.py"),
        ([call("Edit", "a.py"), call("Write", "b.py"), call("Edit", "a.py")], "Editing 2 files"),
        ([call("Read", "a.py"), call("Edit", "b.py")], "Editing b.py"),
        ([call("Grep", "def main")], "Searching for def main"),
        ([call("Bash", "Run the tests"), text("Let me see.")], "Running: Run the tests"),
        ([call("Bash", "make"), call("TaskUpdate", "#1 completed")], "Running: make"),
        ([call("TaskCreate", "Read")], "Updating its task list"),
        ([call("mcp__linear__list_issues", "{x}")], "Using linear: list issues"),
        ([call("Task", "Look"), call("Read", "a", subagent=True)], "Delegating: Look"),
        ([call("Strange{}Tool")], "Using StrangeTool"),
        ([call("Edit")], "Editing files"),
        ([text("\n\nI look at it first.\nThen more.")], "Writing: I look at it first."),
        ([], None),
    ],
)
def test_the_last_work_is_said_in_words(events: list[EventRecord], words: str | None) -> None:
    assert recent_activity(running(), events) == words


def test_a_wait_is_said_instead_of_the_last_work() -> None:
    events = [call("Edit", "a.py")]
    stopping = replace(running(), kill_requested_at=NOW)
    preparing = replace(running(), metadata={})

    assert set(WAITING_WORDS) == set(WaitingOn)
    assert recent_activity(running(waiting_on=WaitingOn.APPROVAL), events) == (
        "Waiting for an approval"
    )
    assert recent_activity(stopping, events) == "Stopping"
    assert recent_activity(preparing, events) == "Preparing the workspace"
    assert recent_activity(new_run(uuid4()), events) is None


DATA = st.dictionaries(
    st.sampled_from(["name", "summary", "text", "subagent"]),
    st.none() | st.integers() | st.text() | st.lists(st.text()),
)


@given(
    st.lists(st.builds(EventRecord, kind=st.sampled_from(EventKind), at=st.just(NOW), data=DATA))
)
def test_malformed_events_have_no_words_or_short_ones(events: list[EventRecord]) -> None:
    words = recent_activity(running(), events)

    assert words is None or 0 < len(words) <= 160


@pytest.mark.parametrize(
    ("statuses", "count"),
    [
        ([DONE, DONE, DOING, PENDING], StepCount(done=2, total=4)),
        ([DONE, SKIPPED, DOING], StepCount(done=1, total=2)),
        ([SKIPPED], None),
        ([], None),
    ],
)
def test_a_plan_tells_how_far_a_run_is(statuses: list[StepStatus], count: StepCount | None) -> None:
    assert step_count(steps(*statuses)) == count
    assert success_rate(steps(*statuses)) == (None if count is None else count.percentage)


def test_phases_of_work_tell_nothing_about_the_rest() -> None:
    phases = [replace(one, source_id="phase:run") for one in steps(DONE, DOING)]

    assert step_count(phases) is None
    assert success_rate(phases) is None


def test_announced_steps_tell_it_if_the_agent_says_how_many_there_are() -> None:
    def announced(total: int | None) -> list[Step]:
        return [
            replace(one, source_id=marker_source(one.step_id, total)) for one in steps(DONE, DOING)
        ]

    assert step_count(announced(2)) == StepCount(done=1, total=2)
    assert step_count(announced(None)) is None
    assert success_rate(announced(2)) is None


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def guess(past: list[PastRun], elapsed: float, **pace: Any) -> Estimate | None:
    return estimate_end(past, Pace(elapsed=seconds(elapsed), **pace), started_at=NOW)


def test_without_three_earlier_runs_nothing_is_estimated() -> None:
    assert guess([PastRun(duration=seconds(60))] * 2, 10) is None
    assert guess([], 10) is None


def test_the_median_of_the_earlier_runs_is_the_estimate() -> None:
    past = [PastRun(duration=seconds(one)) for one in (50, 60, 70, 80, 90)]

    assert guess(past, 10) == Estimate(
        at=NOW + seconds(70), earliest=NOW + seconds(55), latest=NOW + seconds(85), runs=5
    )


def test_earlier_runs_that_were_over_by_now_do_not_count() -> None:
    past = [PastRun(duration=seconds(one)) for one in (10, 20, 60, 70, 80)]

    estimate = guess(past, 30)

    assert estimate is not None
    assert estimate.at == NOW + seconds(70)
    assert guess(past, 100) is None


def test_the_pace_of_a_plan_counts_where_durations_differ() -> None:
    past = [
        PastRun(duration=seconds(10 * n), steps=2, step_ends=(seconds(5 * n), seconds(10 * n)))
        for n in (1, 5, 20, 50)
    ]

    half = guess(past, 100, count=StepCount(done=1, total=2), last_step_end=seconds(90))

    assert half is not None
    assert half.at == NOW + seconds(180)


def test_the_last_run_that_was_longer_counts_less_than_the_pace_of_many() -> None:
    past = [
        PastRun(duration=seconds(10 * n), steps=2, step_ends=(seconds(5 * n), seconds(10 * n)))
        for n in (1, 5, 20, 50)
    ]

    half = guess(past, 300, count=StepCount(done=1, total=2), last_step_end=seconds(290))
    without_steps = guess(past, 300)

    assert half is not None
    assert half.at == NOW + seconds(580)
    assert without_steps is not None
    assert without_steps.at == NOW + seconds(500)


def test_runs_like_this_one_count_if_there_are_enough() -> None:
    first = [PastRun(duration=seconds(100))] * 3
    continued = [PastRun(duration=seconds(20), is_continuation=True)] * 3

    one = guess([*first, *continued], 5, is_continuation=True)
    other = guess([*first, *continued[:2]], 5, is_continuation=True)

    assert one is not None
    assert one.at == NOW + seconds(20)
    assert other is not None
    assert other.at == NOW + seconds(100)


def test_runs_with_the_same_task_count_if_there_are_enough() -> None:
    others = [PastRun(duration=seconds(100), task=task_key(f"Task {n}")) for n in range(5)]
    same = [PastRun(duration=seconds(30), task=task_key("Update the lock file"))] * 3

    found = guess([*others, *same], 5, task=task_key("Update the lock file\n"))

    assert found is not None
    assert found.at == NOW + seconds(30)


DURATIONS = st.timedeltas(timedelta(0), timedelta(days=400))
PAST = st.builds(
    PastRun,
    duration=DURATIONS,
    steps=st.integers(0, 5),
    step_ends=st.lists(DURATIONS, max_size=5).map(lambda ends: tuple(sorted(ends))),
    is_continuation=st.booleans(),
)
COUNTS = st.builds(
    lambda done, more: StepCount(done=done, total=done + more), st.integers(0, 9), st.integers(1, 9)
)


@given(st.lists(PAST, max_size=12), DURATIONS, st.none() | COUNTS, st.none() | DURATIONS)
def test_an_estimate_is_in_order_and_not_over_yet(
    past: list[PastRun],
    elapsed: timedelta,
    count: StepCount | None,
    reached: timedelta | None,
) -> None:
    last = None if reached is None else min(reached, elapsed)
    pace = Pace(elapsed=elapsed, count=count, last_step_end=last)

    found = estimate_end(past, pace, started_at=NOW)

    if found is not None:
        assert NOW + elapsed <= found.earliest <= found.at <= found.latest


def simulated(rng: random.Random) -> PastRun:
    """A run with a plan: 3 to 9 steps of about the same length; its machine is slow or fast."""
    speed = rng.choice((0.5, 1, 2, 4))
    ends, at = [], 0.0
    for _ in range(rng.randint(3, 9)):
        at += speed * rng.uniform(0.7, 1.3)
        ends.append(seconds(at))
    return PastRun(duration=seconds(at * 1.05), steps=len(ends), step_ends=tuple(ends))


def test_at_half_time_half_of_the_estimates_are_within_a_fifth() -> None:
    rng = random.Random(7)
    past = [simulated(rng) for _ in range(40)]
    errors = []
    for _ in range(200):
        run = simulated(rng)
        elapsed = run.duration / 2
        done = [end for end in run.step_ends if end <= elapsed]
        count = StepCount(done=len(done), total=run.steps)
        pace = Pace(elapsed=elapsed, count=count, last_step_end=done[-1] if done else None)
        found = estimate_end(past, pace, started_at=NOW)
        assert found is not None
        errors.append(abs((found.at - NOW) / run.duration - 1))

    assert statistics.median(errors) < 0.2


def test_times_are_those_of_the_run_not_of_the_reader() -> None:
    early = datetime(2020, 1, 1, tzinfo=UTC)
    past = [PastRun(duration=seconds(60))] * 3

    found = estimate_end(past, Pace(elapsed=seconds(1)), started_at=early)

    assert found is not None
    assert found.at == early + seconds(60)
