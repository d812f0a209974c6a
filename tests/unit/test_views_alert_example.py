"""The example of an alert, and the help on alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.slack.commands.command import Subcommand
from bot.slack.views.alerts.example import example_answer
from bot.slack.views.help import help_message
from bot.slack.views.message import Message
from core.domain.alerts.channels.subscription import AlertFilter, Subscription
from core.domain.alerts.example import example_episode
from core.domain.alerts.kinds import AlertKind
from tests.unit.subscription_samples import CONFIGURED, EVERYTHING, make_subscription
from tests.unit.view_helpers import NOW, assert_fits, assert_matches_snapshot, text_of

HEAD = Message(text="head", blocks=({"type": "divider"},))
AT_NIGHT = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "kept", "at", "verdict"),
    [
        (AlertKind.KILLED, [make_subscription()], NOW, "would *not* get it"),
        (AlertKind.FAILED, [], NOW, "would *not* get it"),
        (AlertKind.FAILED, [make_subscription()], NOW, "would come at once."),
        (AlertKind.FAILED, [CONFIGURED, EVERYTHING], NOW, "(number 1 and number 2)"),
        (AlertKind.STALLED, [EVERYTHING], AT_NIGHT, "In its quiet hours now"),
        (
            AlertKind.FAILED,
            [make_subscription(muted_until=NOW + timedelta(hours=1))],
            NOW,
            "but muted until",
        ),
        (
            AlertKind.FAILED,
            [make_subscription(filter=AlertFilter(workflow="implement"))],
            NOW,
            "at once if it passes the filters.",
        ),
    ],
)
def test_the_example_says_whether_the_channel_would_get_it(
    kind: AlertKind, kept: list[Subscription], at: datetime, verdict: str
) -> None:
    message = example_answer(HEAD, example_episode(kind, at), kept, now=at)

    assert_fits(message)
    assert verdict in text_of(message)
    assert "*Example*" in text_of(message)


def test_quiet_hours_hold_no_critical_alert_back() -> None:
    quiet = replace(EVERYTHING, kinds=frozenset())
    example = example_episode(AlertKind.WORKER_LOST, AT_NIGHT)

    message = example_answer(HEAD, example, [quiet], now=AT_NIGHT)

    assert "would come at once" in text_of(message)


def test_the_help_on_alerts_matches_its_snapshot() -> None:
    message = help_message(Subcommand.ALERTS)

    assert_fits(message)
    assert_matches_snapshot("help_alerts", message)
