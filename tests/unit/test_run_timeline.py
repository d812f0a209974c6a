"""The timeline of runs: one scale with its pauses cut out, and calls as few blocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web.dashboard.run.call_blocks import CallBlock, blocks, families, totals
from bot.web.dashboard.run.scale import TimeScale
from core.domain.runs.tool_call import ToolCall

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RUN = UUID(int=1)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def scale_over(*spans: tuple[float, float]) -> TimeScale:
    found = TimeScale.over((at(start), at(end)) for start, end in spans)
    assert found is not None
    return found


def call(
    seconds: float, took: float | None = 1, name: str = "Bash", *, is_error: bool = False
) -> ToolCall:
    began = START + timedelta(seconds=seconds)
    return ToolCall(
        run_id=RUN,
        attempt=1,
        call_id=str(seconds),
        name=name,
        summary=f"{name}: make test",
        started_at=began,
        ended_at=None if took is None else began + timedelta(seconds=took),
        is_error=is_error,
    )


def drawn(calls: list[ToolCall], seconds: float) -> list[CallBlock]:
    whole = TimeScale.over([(START, START + timedelta(seconds=seconds))])
    assert whole is not None
    return blocks(
        calls,
        place=whole.place,
        end_of=lambda one: one.ended_at or START + timedelta(seconds=seconds),
    )


def test_nothing_has_no_scale() -> None:
    assert TimeScale.over([]) is None


def test_a_long_pause_is_a_break_of_fixed_width() -> None:
    scale = scale_over((0, 10), (600, 610), (5000, 5010))

    assert [one.label for one in scale.breaks()] == ["9 h 50 min later", "3 d 1 h later"]
    assert [one.width for one in scale.breaks()] == [2.0, 2.0]
    # The three times of work have the same width.
    assert scale.place(at(10)) == 32.0
    assert (scale.place(at(600)), scale.place(at(610))) == (34.0, 66.0)
    # A time in a break is where the break begins.
    assert scale.place(at(300)) == 32.0


def test_a_short_pause_keeps_its_length() -> None:
    scale = scale_over((0, 10), (10.5, 20))

    assert scale.breaks() == []
    assert scale.place(at(10)) == 50.0


def test_the_marks_are_round_times_since_the_beginning() -> None:
    labels = [tick.label for tick in scale_over((0, 10), (600, 610)).ticks()]

    assert labels == ["0", "5 min", "10 min", "10 h 5 min"]


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 1e5)).map(lambda one: (one[0], sum(one))),
        min_size=1,
        max_size=15,
    )
)
def test_every_scale_keeps_the_order_of_times(spans: list[tuple[float, float]]) -> None:
    scale = scale_over(*spans)

    times = sorted(at(minutes) for span in spans for minutes in span)
    places = [scale.place(one) for one in times]
    assert places == sorted(places)
    assert places[0] == 0.0
    assert all(0 <= place <= 100.01 for place in places)
    ticks = scale.ticks()
    assert len(ticks) <= 8
    assert all(after.x - before.x >= 13 for before, after in pairwise(ticks))


def test_single_calls_are_told_by_what_they_did() -> None:
    (first, second, third) = drawn([call(0), call(50, is_error=True), call(90, None)], seconds=100)

    assert first.label == "Bash: make test, 1.0 s"
    assert (second.label, second.is_failed) == ("Bash: make test, 1.0 s (failed)", True)
    assert third.label == "Bash: make test (open)"
    assert (third.x, third.width) == (90.0, 10.0)


def test_calls_that_are_close_together_are_one_block() -> None:
    calls = [call(number * 0.5, 0.2, is_error=number == 1) for number in range(4)]

    (block,) = drawn(calls, seconds=1000)

    assert block.label == "4 calls: 4 Bash, 1 failed"
    assert (block.has_error, block.is_failed) == (True, False)


@given(st.lists(st.tuples(st.floats(0, 3600), st.floats(0, 600)), max_size=300))
def test_any_number_of_calls_is_few_blocks_within_the_lane(
    found: list[tuple[float, float]],
) -> None:
    calls = [call(began, took) for began, took in sorted(found)]

    shown = drawn(calls, seconds=4200)

    assert len(shown) <= 260
    assert all(block.x >= 0 and block.x + block.width <= 100.02 for block in shown)
    assert all(1 <= block.heat <= 4 for block in shown)


def test_a_lane_of_very_many_calls_has_at_most_a_block_for_each_place() -> None:
    calls = [call(number, 0.5) for number in range(5_000)]

    assert len(drawn(calls, seconds=5_000)) <= 50


def test_calls_are_grouped_by_what_their_tools_do() -> None:
    calls = [call(1, name="Read"), call(2, name="mcp__x__y"), call(3), call(4, name="Edit")]

    assert list(families(calls)) == ["Commands", "Edits", "Reads", "Other tools"]


@pytest.mark.parametrize("took", [None, 2.0])
def test_totals_of_a_tool_leave_out_what_has_not_ended(took: float | None) -> None:
    (only,) = totals([call(0, took, is_error=took is not None)])

    assert (only.calls, only.errors) == (1, 0 if took is None else 1)
    assert only.took == timedelta(seconds=took or 0)
    assert only.longest == (None if took is None else timedelta(seconds=took))
