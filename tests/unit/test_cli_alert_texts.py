"""What commands about alerts print for people: from the API's JSON, pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.cli.client.alert_texts import alert_text, alerts_text, subscriptions_text
from bot.words.times import parse_duration, time_limit

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def alert(**changed: Any) -> dict[str, Any]:
    """An alert of a list, as the API has it."""
    return {
        "alert_id": "1f3a9c02-0000-4000-8000-000000000000",
        "kind": "stalled",
        "severity": "warning",
        "is_open": True,
        "sentence": "Nothing was heard of it for 12 min.",
        "opened_at": (NOW - timedelta(minutes=12)).isoformat(),
        "recovering_at": None,
        "resolved_at": None,
        "acknowledged_by": None,
        "snoozed_until": None,
    } | changed


def subscription(**changed: Any) -> dict[str, Any]:
    return {
        "subscription_id": "2f3a9c02-0000-4000-8000-000000000000",
        "channel": "C0123ABCD",
        "source": "api",
        "kinds": [],
        "time_zone": "UTC",
        "digest_hour": 9,
    } | changed


def wishes(**changed: Any) -> str:
    _, line = subscriptions_text({"subscriptions": [subscription(**changed)]}, now=NOW).splitlines()
    return line.strip()


def test_an_alert_says_what_is_open_for_how_long_and_who_cares() -> None:
    until = (NOW + timedelta(hours=2)).isoformat()

    head, sentence = alert_text(
        alert(acknowledged_by="Ada", snoozed_until=until), now=NOW
    ).splitlines()

    assert head == (
        "1f3a9c02  warning  stalled  open for 12 min, acknowledged by Ada, "
        "snoozed until 2026-11-29 14:00 UTC"
    )
    assert sentence == "  Nothing was heard of it for 12 min."


def test_an_ended_alert_says_after_what_time() -> None:
    ended = alert(is_open=False, resolved_at=(NOW - timedelta(minutes=3)).isoformat())
    notice = alert(is_open=False, resolved_at=alert()["opened_at"])

    assert "  ended after 9 min\n" in alert_text(ended, now=NOW)
    assert "  ended\n" in alert_text(notice, now=NOW)


def test_a_snooze_that_is_over_is_not_shown() -> None:
    past = alert(snoozed_until=(NOW - timedelta(minutes=1)).isoformat())

    assert "snoozed" not in alert_text(past, now=NOW)


def test_a_list_without_alerts_says_so_and_a_page_how_many_there_are() -> None:
    page = {
        "alerts": [alert()],
        "next": "x",
        "total_count": 10_000,
        "total_count_is_exact": False,
    }

    assert alerts_text({"alerts": []}, now=NOW, nothing="Nothing.") == "Nothing."
    assert alerts_text(page, now=NOW, nothing="").endswith(
        "1 of more than 10,000; --limit and --cursor show others."
    )


def test_what_a_terminal_would_obey_is_removed() -> None:
    evil = alert(sentence="a\x1b[2Jb\nc", acknowledged_by="\x9b5mx")

    assert "\x1b" not in alert_text(evil, now=NOW)
    assert "\x9b" not in alert_text(evil, now=NOW)
    assert len(alert_text(evil, now=NOW).splitlines()) == 2


def test_a_subscription_names_only_what_it_wants() -> None:
    assert wishes() == "the usual kinds"
    assert wishes(
        kinds=["failed", "stalled"],
        workflow="fix",
        repository="acme/api",
        owner="U1",
        least_severity="critical",
        least_cost_usd=12.5,
        pending_for_seconds=900,
        mention="S0614TZR7",
        time_zone="Europe/Berlin",
        quiet_hours="22:00-07:00",
        digest="weekly",
        digest_hour=8,
        progress_every_seconds=600,
        muted_until=(NOW + timedelta(hours=1)).isoformat(),
        source="config",
    ) == (
        "failed, stalled; workflow fix; repository acme/api; owner U1; at least critical; "
        "from $12.50 on; after 15 min; mentions S0614TZR7; quiet 22:00-07:00 Europe/Berlin; "
        "weekly digest at 8:00 Europe/Berlin; progress every 10 min; "
        "muted until 2026-11-29 13:00 UTC; kept in the configuration"
    )


def test_no_subscription_is_said() -> None:
    assert subscriptions_text({"subscriptions": []}, now=NOW) == (
        "No channel is subscribed to alerts."
    )


@given(seconds=st.integers(min_value=0, max_value=10**7))
def test_a_duration_that_is_written_is_read_back(seconds: int) -> None:
    length = timedelta(seconds=seconds)

    assert parse_duration(time_limit(length)) == length
    assert parse_duration(f"{seconds}s") in (length, None)


@given(text=st.text(max_size=12))
def test_any_text_is_a_duration_with_units_or_none(text: str) -> None:
    found = parse_duration(text)

    assert found is None or (text.isascii() and text[-1] in "dhms")


def test_a_duration_has_its_units_in_order() -> None:
    assert parse_duration("1d12h") == timedelta(hours=36)
    assert parse_duration("1d2h3m4s") == timedelta(days=1, hours=2, minutes=3, seconds=4)
    for text in ("", "2", "h", "12h1d", "1h1h", "-1h", "9999999d"):
        assert parse_duration(text) is None
