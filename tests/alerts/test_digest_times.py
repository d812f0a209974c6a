"""When digests are due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.alerts.channels.subscription import DigestPeriod, Source, Subscription
from core.services.alerts.digest_times import MAX_LATENESS, due_digest

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MADE = datetime(2026, 3, 1, tzinfo=UTC)


def subscription(
    period: DigestPeriod = DigestPeriod.DAILY, *, hour: int = 9, zone: str = "UTC"
) -> Subscription:
    return Subscription(
        id=uuid4(),
        team_id="T1",
        channel_id="C1",
        source=Source.SLACK,
        created_at=MADE,
        digest=period,
        digest_hour=hour,
        time_zone=zone,
    )


def all_due(wanted: Subscription, *, since: datetime, days: int) -> list[datetime]:
    """Every digest that is written by a bot that looks each ten minutes, without a break."""
    found: list[datetime] = []
    now = since
    while now < since + days * DAY:
        due = due_digest(wanted, last=found[-1] if found else None, now=now)
        if due is not None:
            assert due.skipped == 0
            assert due.before < due.since < due.until <= now
            assert not found or due.since == found[-1]
            found.append(due.until)
        now += timedelta(minutes=10)
    return found


def test_a_daily_digest_is_due_once_a_day_at_its_hour() -> None:
    found = all_due(subscription(), since=MADE, days=4)

    assert found == [MADE + 9 * HOUR + day * DAY for day in range(4)]


def test_a_weekly_digest_is_due_on_mondays() -> None:
    found = all_due(subscription(DigestPeriod.WEEKLY), since=MADE, days=16)

    assert found == [datetime(2026, 3, day, 9, tzinfo=UTC) for day in (2, 9, 16)]
    assert {at.strftime("%A") for at in found} == {"Monday"}


@pytest.mark.parametrize(
    ("start", "hour", "local"),
    [
        # The night of 29 March 2026 has no hour from 2 to 3.
        (datetime(2026, 3, 26, 12, tzinfo=UTC), 2, ["02:00", "02:00", "03:00", "02:00", "02:00"]),
        # The night of 25 October 2026 has the hour from 2 to 3 twice.
        (datetime(2026, 10, 22, 12, tzinfo=UTC), 2, ["02:00"] * 5),
    ],
)
def test_a_digest_comes_once_a_day_when_clocks_change(
    start: datetime, hour: int, local: list[str]
) -> None:
    zone = "Europe/Berlin"
    wanted = replace(subscription(hour=hour, zone=zone), created_at=start)

    found = all_due(wanted, since=start, days=5)

    shown = [at.astimezone(ZoneInfo(zone)) for at in found]
    assert [f"{at:%H:%M}" for at in shown] == local
    assert len({at.date() for at in shown}) == 5


def test_nothing_is_due_for_the_time_before_a_subscription() -> None:
    made_late = subscription(hour=0)

    assert due_digest(made_late, last=None, now=MADE + HOUR) is None


def test_a_bot_that_was_down_makes_up_for_the_newest_one_only() -> None:
    wanted = subscription()
    last = MADE + 9 * HOUR

    due = due_digest(wanted, last=last, now=last + 3 * DAY + MAX_LATENESS)

    assert due is not None
    assert due.until == last + 3 * DAY
    assert due.since == last + 2 * DAY
    assert due.skipped == 2


def test_a_digest_that_is_too_late_is_skipped_and_the_next_one_says_so() -> None:
    wanted = subscription()
    last = MADE + 9 * HOUR

    too_late = due_digest(wanted, last=last, now=last + DAY + MAX_LATENESS + HOUR)
    following = due_digest(wanted, last=last, now=last + 2 * DAY)

    assert too_late is None
    assert following is not None
    assert following.skipped == 1


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


@given(
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    period=st.sampled_from(DigestPeriod),
    minutes=st.integers(0, 2 * 365 * 24 * 60),
)
def test_periods_join_without_a_gap_whenever_one_looks(
    zone: str, hour: int, period: DigestPeriod, minutes: int
) -> None:
    wanted = subscription(period, hour=hour, zone=zone)
    now = MADE + timedelta(days=30, minutes=minutes)
    newest = due_digest(wanted, last=now - 60 * DAY, now=now)

    if newest is None:
        # Only because it would be too late.
        return
    again = due_digest(wanted, last=newest.until, now=now)
    before = due_digest(wanted, last=now - 60 * DAY, now=newest.since)

    length = DAY if period is DigestPeriod.DAILY else 7 * DAY
    assert again is None
    assert before is not None
    assert before.until == newest.since
    assert abs((newest.until - newest.since) - length) <= HOUR
    local = newest.until.astimezone(ZoneInfo(zone))
    assert local.hour == hour or local.utcoffset() != (local - DAY).utcoffset()
