from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack import dates
from bot.words import counts, money, times
from core.domain.runs.run import CostSource, Usage

AT = datetime(2026, 11, 21, 3, 14, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (1.84, "1.8 s"),
        (9.97, "10 s"),
        (42, "42 s"),
        (59.6, "1 min"),
        (252, "4 min 12 s"),
        (3600, "1 h 00 min"),
        (3780, "1 h 03 min"),
        (183_600, "2 d 3 h"),
        (-5, "0.0 s"),
    ],
)
def test_durations_are_written_in_two_units(seconds: float, shown: str) -> None:
    assert times.duration(timedelta(seconds=seconds)) == shown


def test_elapsed_time_changes_in_coarse_steps_only() -> None:
    shown = {times.elapsed(AT, AT + timedelta(seconds=second)) for second in range(60, 75)}

    assert shown == {"1 min"}
    assert times.elapsed(AT, AT + timedelta(seconds=3)) == "under 15 s"
    assert times.elapsed(AT, AT - timedelta(seconds=3)) == "under 15 s"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("0.00001", "under $0.0001"),
        ("0.00451", "$0.0045"),
        ("0.0321", "$0.032"),
        ("0.1234", "$0.12"),
        ("1.4468734", "$1.45"),
        ("12345.678", "$12,345.68"),
    ],
)
def test_money_shows_its_significant_digits(amount: str, shown: str) -> None:
    assert money.dollars(Decimal(amount)) == shown


def test_an_unknown_cost_is_never_zero() -> None:
    assert money.cost(None, None, is_live=True) == "not reported yet"
    assert money.cost(None, None, is_live=False) == "not reported"


def test_a_cost_names_its_source() -> None:
    cost = money.cost(Decimal("1.45"), CostSource.REPORTED, is_live=False)

    assert cost == "$1.45 reported"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.0k"),
        (9_940, "9.9k"),
        (9_960, "10k"),
        (341_000, "341k"),
        (999_600, "1.0M"),
        (1_234_567, "1.2M"),
        (5_000_000_000, "5.0G"),
    ],
)
def test_large_numbers_are_short(number: int, shown: str) -> None:
    assert counts.compact_count(number) == shown


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**15))
def test_counts_never_show_a_thousand_of_a_unit(number: int) -> None:
    assert not counts.compact_count(number).startswith("1000")


def test_cached_tokens_are_shown_separately() -> None:
    usage = Usage(input_tokens=1200, output_tokens=30, cache_read_tokens=9, cache_creation_tokens=1)

    assert counts.tokens(usage) == "1.2k in, 30 out, 10 cached"


def test_a_time_is_in_the_readers_time_zone_with_a_fallback() -> None:
    shown = dates.date_time(AT)

    assert shown == "<!date^1795230840^{date_short_pretty} {time}|2026-11-21 03:14 UTC>"


def test_times_of_one_minute_are_equal() -> None:
    assert dates.clock_time(AT) == dates.clock_time(AT + timedelta(seconds=50))


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (timedelta(minutes=30), "30m"),
        (timedelta(hours=1, minutes=30), "1h30m"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(0), "0s"),
    ],
)
def test_limits_are_written_as_they_are_typed(length: timedelta, shown: str) -> None:
    assert times.time_limit(length) == shown


@pytest.mark.parametrize(
    ("length", "shown"), [(0.4, "0 ms"), (340, "340 ms"), (999, "999 ms"), (1840, "1.8 s")]
)
def test_what_is_short_is_told_in_milliseconds(length: float, shown: str) -> None:
    assert times.milliseconds(length) == shown


def test_a_moment_is_in_utc_where_the_readers_zone_is_not_known() -> None:
    assert times.utc_date_time(AT) == "2026-11-21 03:14 UTC"
    assert times.utc_clock_time(AT) == "03:14 UTC"


def test_a_share_is_whole_only_if_nothing_is_missing() -> None:
    assert counts.percent(1) == "100 %"
    assert counts.percent(0.99999) == "99.9 %"


def test_sizes_are_in_megabytes() -> None:
    assert counts.megabytes(1_204_500_000) == "1,204.5 MB"
