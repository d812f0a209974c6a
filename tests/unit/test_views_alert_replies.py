"""The replies below messages about alerts: their history, what must ring, and their end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.slack.views.alerts.lines import mention_of
from bot.slack.views.alerts.message import ALERT, alert_messages
from bot.slack.views.runs.links import ThreadLinks
from core.domain.alerts.episode import AlertState, Resolution, resolve
from core.domain.alerts.history import AlertEvent
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.alerts.message import AlertMessage
from tests.alerts.sample_messages import (
    event,
    four_failed,
    history_of_a_stall,
    in_state,
    message_of,
)
from tests.alerts.samples import CONDITIONS, FIRED, open_alert
from tests.unit.view_helpers import NOW, text_of

LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
LATER = NOW + timedelta(minutes=1)
ADA_CALLED = "<@U0ADA>"


def drawn(message: AlertMessage) -> dict[str, Any]:
    return dict(alert_messages(message, NOW, LINKS))


def test_an_alert_to_which_nothing_happened_has_no_thread() -> None:
    for kind in AlertKind:
        assert set(drawn(message_of(open_alert(kind)))) == {ALERT}, kind


def test_the_history_is_one_reply_with_a_line_for_each_event() -> None:
    replies = drawn(history_of_a_stall())

    assert list(replies) == [ALERT, "history"]
    lines = text_of(replies["history"]).splitlines()[1:]
    assert [line.split(" UTC> ")[1][:12] for line in lines] == [
        "Acknowledged",
        "Still fine, ",
        "Resolved aft",
    ]


def raised(**changes: Any) -> AlertMessage:
    used_up = {**CONDITIONS[AlertKind.BUDGET].evidence, "cost_usd": "10.20"}
    alert = open_alert(AlertKind.BUDGET, severity=Severity.CRITICAL, evidence=used_up)
    return message_of(
        alert,
        mention=ADA_CALLED,
        events=[event(5, alert, AlertEvent.RAISED, NOW, **{"from": 2, "to": 3})],
        **changes,
    )


def test_a_raised_severity_calls_in_a_reply_of_its_own() -> None:
    replies = drawn(raised())

    assert replies["raised:5"].text.startswith(f"{ADA_CALLED} 🔴 *Now critical*: Budget used up")
    assert "Warning became critical" in text_of(replies["history"])


def test_nobody_is_called_to_what_is_over() -> None:
    message = raised()
    ended = tuple(resolve(alert, Resolution.RECOVERED, LATER) for alert in message.alerts)

    assert "raised:5" not in drawn(replace(message, alerts=ended))


def test_the_end_of_a_snooze_calls_if_it_still_lasts() -> None:
    alert = open_alert(AlertKind.STALLED)
    woken = event(7, alert, AlertEvent.SNOOZE_ENDED, NOW)
    before = event(6, alert, AlertEvent.RECOVERING, FIRED + timedelta(seconds=30))

    lasting = drawn(message_of(alert, events=[woken]))
    recovering = drawn(
        message_of(replace(alert, state=AlertState.RECOVERING), events=[before, woken])
    )

    assert "The snooze has ended, and it still lasts" in lasting["woken:7"].text
    assert "woken:7" not in recovering


def test_a_reply_that_was_posted_stays_as_it_is() -> None:
    message = raised()
    acknowledged = tuple(
        replace(alert, acknowledged_by="Ben", evidence={**alert.evidence, "cost_usd": "99"})
        for alert in message.alerts
    )

    later = alert_messages(replace(message, alerts=acknowledged), NOW + timedelta(hours=3), LINKS)

    assert later["raised:5"] == drawn(message)["raised:5"]


def test_alerts_that_join_within_a_minute_call_once() -> None:
    message = four_failed(mention=ADA_CALLED)
    told_at = {
        alert.id: FIRED + timedelta(seconds=seconds)
        for alert, seconds in zip(message.alerts, (0, 61, 69, 119), strict=True)
    }

    replies = drawn(replace(message, told_at=told_at))

    assert list(replies) == [ALERT, "joined:6", "joined:11"]
    assert replies["joined:6"].text.startswith(f"{ADA_CALLED} 🟠 *2 more runs failed*")
    assert "Fix the flaky login test" in text_of(replies["joined:6"])
    assert replies["joined:11"].text.startswith("🟠 *1 more run failed*")


@pytest.mark.parametrize("broadcasts", [True, False])
def test_the_end_is_shown_in_the_channel_only_where_that_is_wanted(*, broadcasts: bool) -> None:
    ended = message_of(in_state(AlertKind.STALLED, "resolved"), broadcasts=broadcasts)

    replies = drawn(ended)

    assert ("ended" in replies) is broadcasts
    if broadcasts:
        assert replies["ended"].is_broadcast
        assert "*Resolved after 11 min*: Nothing is heard of a run" in replies["ended"].text


def test_the_end_of_a_notice_or_of_some_alerts_is_no_news() -> None:
    notice = message_of(open_alert(AlertKind.COMPLETED), broadcasts=True)

    assert "ended" not in drawn(notice)
    assert "ended" not in drawn(four_failed(broadcasts=True))


def test_the_group_of_a_subscription_is_called_when_it_fires() -> None:
    head = drawn(message_of(open_alert(AlertKind.FAILED), mention="<!subteam^S0614TZR7>"))[ALERT]

    assert head.text.startswith("<!subteam^S0614TZR7> 🟠 Run failed")
    assert "· <!subteam^S0614TZR7>" in text_of(head)


@pytest.mark.parametrize(
    "stored", ["<!channel>", "<!here>", "<@U0ADA> <!channel>", "<!subteam^s1>", "hello", ""]
)
def test_a_stored_mention_calls_one_group_or_person_only(stored: str) -> None:
    assert mention_of(stored) == ("" if stored != ADA_CALLED else stored)
