"""Quiet hours: over midnight, and over both changes of the clocks, in several time zones."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from core.domain.alerts.channels.quiet_hours import BadQuietHours, QuietHours

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # changes by half an hour
    "Africa/Casablanca",
    "Pacific/Chatham",
]
TIMES = st.times().map(lambda one: one.replace(second=0, microsecond=0))
# Both changes of the year 2026 in each zone are between these.
MOMENTS = st.datetimes(
    datetime(2026, 1, 1),  # noqa: DTZ001 - the time zone is added
    datetime(2027, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)  # type: ignore[misc,arg-type]


def ends(text: str, zone: str, now: datetime) -> datetime | None:
    return QuietHours.parse(text, time_zone=zone).ends_at(now)


@pytest.mark.parametrize(
    ("hour", "minute", "is_quiet"),
    [(21, 59, False), (22, 0, True), (23, 59, True), (0, 0, True), (6, 59, True), (7, 0, False)],
)
def test_they_last_over_midnight(hour: int, minute: int, is_quiet: bool) -> None:
    now = datetime(2026, 11, 30, hour, minute, tzinfo=UTC)

    end = ends("22:00-07:00", "UTC", now)

    day = 1 if hour >= 22 else 0
    expected = datetime(2026, 11, 30, 7, tzinfo=UTC) + timedelta(days=day)
    assert end == (expected if is_quiet else None)


def test_in_spring_the_night_has_an_hour_less() -> None:
    now = local("Europe/Berlin", 2026, 3, 28, 22, 0)

    end = ends("22:00-07:00", "Europe/Berlin", now)

    assert end is not None
    assert end - now == timedelta(hours=8)


def test_in_autumn_the_night_has_an_hour_more() -> None:
    now = local("Europe/Berlin", 2026, 10, 24, 22, 0)

    end = ends("22:00-07:00", "Europe/Berlin", now)

    assert end is not None
    assert end - now == timedelta(hours=10)


@pytest.mark.parametrize("fold", [0, 1])
def test_an_end_that_comes_twice_ends_each_time(fold: int) -> None:
    now = local("Europe/Berlin", 2026, 10, 25, 2, 10, fold=fold)

    end = ends("22:00-02:30", "Europe/Berlin", now)

    assert end == local("Europe/Berlin", 2026, 10, 25, 2, 30, fold=fold)


def test_an_end_that_does_not_come_is_passed_within_the_hour() -> None:
    now = local("Europe/Berlin", 2026, 3, 29, 1, 50)

    end = ends("22:00-02:30", "Europe/Berlin", now)

    assert end is not None
    assert end - now == timedelta(minutes=40)
    assert ends("22:00-02:30", "Europe/Berlin", end) is None


@given(TIMES, TIMES, st.sampled_from(ZONES), MOMENTS)
@example(time(22), time(2, 30), "Europe/Berlin", datetime(2026, 10, 25, 1, 10, tzinfo=UTC))
@example(time(22), time(1, 45), "Australia/Lord_Howe", datetime(2026, 4, 4, 15, 5, tzinfo=UTC))
def test_nothing_is_held_for_ever(start: time, end: time, zone: str, now: datetime) -> None:
    assume(start != end)
    quiet = QuietHours(start=start, end=end, time_zone=zone)

    until = quiet.ends_at(now)

    wall = now.astimezone(ZoneInfo(zone)).time()
    is_quiet = start <= wall < end if start < end else not end <= wall < start
    assert (until is not None) is is_quiet
    if until is not None:
        offsets = {moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in (now, until)}
        longest = timedelta(hours=24) if len(offsets) == 1 else timedelta(hours=25)
        assert timedelta(0) < until - now <= longest
        # The end is on the clock of the wall, unless the clocks skip it.
        at_end = until.astimezone(ZoneInfo(zone)).time()
        assert at_end == end or len(offsets) == 2


@given(TIMES, TIMES, st.sampled_from(ZONES), MOMENTS)
def test_what_is_held_later_is_not_told_earlier(
    start: time, end: time, zone: str, now: datetime
) -> None:
    assume(start != end)
    quiet = QuietHours(start=start, end=end, time_zone=zone)
    until = quiet.ends_at(now)
    assume(until is not None)
    assert until is not None
    between = now + (until - now) / 2

    later = quiet.ends_at(between)

    assert later is None or later >= until


@pytest.mark.parametrize("text", ["", "22:00", "22:00-22:00", "24:00-07:00", "22:60-07:00", "a-b"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadQuietHours):
        QuietHours.parse(text, time_zone="UTC")


@pytest.mark.parametrize("zone", ["", "Berlin", "../etc/passwd", "Europe", "x" * 1000])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadQuietHours):
        QuietHours.parse("22:00-07:00", time_zone=zone)


@given(TIMES, TIMES)
def test_the_text_is_read_as_it_was_written(start: time, end: time) -> None:
    assume(start != end)
    quiet = QuietHours(start=start, end=end, time_zone="UTC")

    assert QuietHours.parse(str(quiet), time_zone="UTC") == quiet
