"""From looks to samples, peaks and totals."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.domain.resources.metering import Metered
from core.domain.resources.policy import THINNINGS, floor_to
from core.domain.resources.sample import Look, Sample, SampleSource, joined
from tests.database import NOW

NUMBERS = st.integers(0, 10**13)
LOOKS = st.builds(
    Look,
    cpu_seconds=st.floats(0, 10**6),
    memory_bytes=NUMBERS,
    largest_bytes=NUMBERS,
    processes=st.integers(1, 500),
    read_bytes=st.none() | NUMBERS,
    written_bytes=st.none() | NUMBERS,
)


def look(cpu: float, memory: int = 100, **fields: Any) -> Look:
    return Look(
        cpu_seconds=cpu, memory_bytes=memory, processes=fields.pop("processes", 1), **fields
    )


def metered(*looks: Look, every: float = 5) -> tuple[Metered, list[Sample]]:
    one, samples = Metered.since(NOW), []
    for number, seen in enumerate(looks, 1):
        one, sample = one.after(seen, at=NOW + number * timedelta(seconds=every))
        assert sample is not None
        samples.append(sample)
    return one, samples


def test_a_sample_is_what_was_used_since_the_look_before() -> None:
    one, [first, second] = metered(
        look(1, 100, read_bytes=10, written_bytes=0, processes=3),
        look(6, 300, read_bytes=30, written_bytes=7),
    )

    assert (first.cpu_seconds, first.cpu, first.read_bytes, first.processes) == (1, 0.2, 10, 3)
    assert (second.cpu_seconds, second.cpu, second.cpu_peak) == (5, 1, 1)
    assert (second.memory_bytes, second.read_bytes, second.written_bytes) == (300, 20, 7)
    assert one.usage is not None
    assert (one.usage.cpu_seconds, one.usage.cpu_peak, one.usage.processes_peak) == (6, 1, 3)
    assert (one.usage.read_bytes, one.usage.written_bytes) == (30, 7)
    assert one.usage.sampled_from == NOW
    assert one.usage.sampled_until == NOW + timedelta(seconds=10)


def test_what_ended_processes_take_out_of_the_sum_is_not_given_back() -> None:
    one, samples = metered(look(10), look(4), look(9), look(11))

    assert [sample.cpu_seconds for sample in samples] == [10, 0, 0, 1]
    assert one.usage is not None
    assert one.usage.cpu_seconds == 11


def test_what_one_process_held_between_two_looks_is_a_peak() -> None:
    one, [sample] = metered(look(1, 100, largest_bytes=900))

    assert sample.memory_peak_bytes == 100
    assert one.usage is not None
    assert one.usage.memory_peak_bytes == 900


def test_two_looks_at_the_same_moment_are_one() -> None:
    one, _ = metered(look(1))

    same, sample = one.after(look(2), at=one.at + timedelta(milliseconds=10))

    assert (same, sample) == (one, None)


def test_a_workspace_that_is_not_measured_again_keeps_its_size() -> None:
    one = Metered.since(NOW)
    for number, size in enumerate((None, 50, 20, None), 1):
        one, _ = one.after(look(1), at=NOW + timedelta(seconds=number), disk_bytes=size)

    assert one.usage is not None
    assert (one.usage.disk_bytes, one.usage.disk_peak_bytes) == (20, 50)


@given(st.lists(LOOKS, min_size=1, max_size=12))
def test_totals_are_the_sums_of_samples_and_peaks_their_maxima(looks: list[Look]) -> None:
    one, samples = metered(*looks)

    usage = one.usage
    assert usage is not None
    assert all(sample.cpu_seconds >= 0 for sample in samples)
    assert abs(sum(sample.cpu_seconds for sample in samples) - usage.cpu_seconds) < 1e-3
    assert usage.cpu_seconds == max(seen.cpu_seconds for seen in looks)
    assert usage.cpu_peak == max(sample.cpu_peak for sample in samples)
    assert usage.processes_peak == max(seen.processes for seen in looks)
    assert usage.memory_peak_bytes == max(
        max(seen.memory_bytes, seen.largest_bytes) for seen in looks
    )
    read = [sample.read_bytes for sample in samples if sample.read_bytes is not None]
    assert usage.read_bytes == (sum(read) if read else None)


def test_the_attempts_of_a_run_are_added_up() -> None:
    first, _ = metered(look(4, 900, read_bytes=5, processes=2))
    second, _ = metered(look(3, 500, written_bytes=6, processes=7), every=9)
    assert first.usage is not None
    assert second.usage is not None

    both = joined(first.usage, second.usage)

    assert (both.cpu_seconds, both.cpu_peak, both.memory_peak_bytes) == (7, 0.8, 900)
    assert (both.processes_peak, both.read_bytes, both.written_bytes) == (7, 5, 6)
    assert both.sampled_until == second.at
    assert both.source is SampleSource.PROCESSES


def test_intervals_get_longer_with_age_and_each_fits_into_the_next() -> None:
    lengths = [one.step for one in THINNINGS]

    assert [one.after for one in THINNINGS] == sorted(one.after for one in THINNINGS)
    assert all(longer % shorter == timedelta(0) for shorter, longer in pairwise(lengths))
    for one in THINNINGS:
        cut = one.cut(NOW)
        assert cut <= NOW - one.after < cut + one.step
        assert floor_to(cut, one.step) == cut
