"""Two looks at programs: what counts as life, and what does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.domain.runs.activity.life import Look, ProcessKey, ProcessUsage, Signs, signs_between

INTERVAL = timedelta(seconds=20)
KEYS = st.tuples(st.integers(2, 400), st.integers(0, 10_000))
TICKS = st.integers(0, 10**6)
BYTES = st.one_of(st.none(), st.integers(0, 2**62))


def usage(ticks: int = 0, written: int | None = 0) -> ProcessUsage:
    return ProcessUsage(processor=timedelta(seconds=ticks / 100), written_bytes=written)


LOOKS: st.SearchStrategy[dict[ProcessKey, ProcessUsage]] = st.dictionaries(
    KEYS, st.builds(usage, TICKS, BYTES), max_size=8
)


@pytest.mark.parametrize(
    ("before", "after", "signs"),
    [
        ({}, {}, Signs()),
        ({(5, 1): usage(10, 10)}, {(5, 1): usage(10, 10)}, Signs()),
        # 0.09 s in 20 s are the timers of a runtime that waits.
        ({(5, 1): usage(10)}, {(5, 1): usage(19)}, Signs()),
        ({(5, 1): usage(10)}, {(5, 1): usage(20)}, Signs(has_worked=True)),
        (
            {(5, 1): usage(10), (6, 1): usage(0)},
            {(5, 1): usage(15), (6, 1): usage(5)},
            Signs(has_worked=True),
        ),
        ({(5, 1): usage(written=10)}, {(5, 1): usage(written=11)}, Signs(has_written=True)),
        ({(5, 1): usage(written=None)}, {(5, 1): usage(written=None)}, Signs()),
        ({(5, 1): usage(written=None)}, {(5, 1): usage(written=99)}, Signs()),
        ({}, {(5, 1): usage()}, Signs(has_worked=True)),
        ({(5, 1): usage(70, 70)}, {}, Signs(has_worked=True)),
        # Another process with the same pid.
        ({(5, 1): usage(70, 70)}, {(5, 2): usage(70, 70)}, Signs(has_worked=True)),
        # A child has ended: its parent has its bytes now.
        (
            {(5, 1): usage(0, 0), (6, 1): usage(40, 40)},
            {(5, 1): usage(40, 40)},
            Signs(has_worked=True),
        ),
        (
            {(5, 1): usage(0, 0), (6, 1): usage(40, 40)},
            {(5, 1): usage(40, 41)},
            Signs(has_worked=True, has_written=True),
        ),
    ],
)
def test_what_counts_as_life(before: Look, after: Look, signs: Signs) -> None:
    assert signs_between(before, after, INTERVAL) == signs


@given(look=LOOKS)
def test_programs_that_do_nothing_show_no_life(look: Look) -> None:
    assert signs_between(look, dict(look), INTERVAL) == Signs()


@given(look=LOOKS, other=LOOKS)
def test_a_process_that_comes_or_goes_is_life(look: Look, other: Look) -> None:
    assume(look.keys() != other.keys())

    assert signs_between(look, other, INTERVAL).has_worked


@given(look=LOOKS, data=st.data(), ticks=st.integers(1, 1_000), seconds=st.integers(1, 60))
def test_processor_time_counts_from_a_tenth_of_a_second_or_a_hundredth_of_the_interval(
    look: Look, data: st.DataObject, ticks: int, seconds: int
) -> None:
    assume(look)
    key = data.draw(st.sampled_from(sorted(look)))
    grown = ProcessUsage(
        processor=look[key].processor + timedelta(seconds=ticks / 100),
        written_bytes=look[key].written_bytes,
    )

    signs = signs_between(look, {**look, key: grown}, timedelta(seconds=seconds))

    assert signs == Signs(has_worked=ticks >= min(10, seconds))


@given(look=LOOKS, data=st.data(), count=st.integers(1, 2**40))
def test_any_byte_that_can_be_read_counts(look: Look, data: st.DataObject, count: int) -> None:
    known = {key: one for key, one in look.items() if one.written_bytes is not None}
    assume(known)
    key = data.draw(st.sampled_from(sorted(known)))
    grown = ProcessUsage(
        processor=known[key].processor, written_bytes=(known[key].written_bytes or 0) + count
    )

    assert signs_between(look, {**look, key: grown}, INTERVAL) == Signs(has_written=True)


@given(look=LOOKS, data=st.data())
def test_what_a_child_had_written_is_not_written_again_when_it_ends(
    look: Look, data: st.DataObject
) -> None:
    known = {key: one for key, one in look.items() if one.written_bytes is not None}
    assume(len(known) >= 2)
    child, parent = data.draw(st.permutations(sorted(known)))[:2]
    heir = ProcessUsage(
        processor=known[parent].processor + known[child].processor,
        written_bytes=(known[parent].written_bytes or 0) + (known[child].written_bytes or 0),
    )
    rest = {key: one for key, one in known.items() if key != child}

    assert not signs_between(known, {**rest, parent: heir}, INTERVAL).has_written
