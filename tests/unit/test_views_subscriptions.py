"""What people see of subscriptions: lists, answers, offers and ends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from bot.slack import ids
from bot.slack.views.alerts.channels import (
    BOT_REMOVED,
    CHANNEL_ARCHIVED,
    CHANNEL_DELETED,
    ended_message,
    offer_message,
)
from bot.slack.views.alerts.subscriptions import (
    muted_message,
    no_subscription_message,
    public_line,
    public_subscription_words,
    subscribed_message,
    subscription_list_message,
    unsubscribed_message,
)
from bot.slack.views.message import Message
from core.domain.actor import Actor, Origin, Role
from core.domain.alerts.channels.subscription import AlertFilter
from core.domain.alerts.kinds import USUAL_KINDS, AlertKind
from core.domain.alerts.trends.readiness import TrendReadiness
from tests.unit.subscription_samples import CONFIGURED, EVERYTHING, make_subscription
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    NOW,
    assert_fits,
    assert_matches_snapshot,
    text_of,
)

ADA = Actor(role=Role.RUNNER, origin=Origin.SLACK, external_id="U0ADA", name="Ada Lovelace")


def test_the_list_says_why_trends_are_silent() -> None:
    few = TrendReadiness(workflow="fix", judged=4, costed=40)
    enough = TrendReadiness(workflow="implement", judged=40, costed=40)

    message = subscription_list_message([make_subscription()], now=NOW, readiness=[few, enough])

    assert "`fix`: `failure_rate` needs 11 more runs within 30 days." in text_of(message)
    assert "implement" not in text_of(message).partition("Too few")[2]
    assert_fits(subscription_list_message([make_subscription()], now=NOW, readiness=[few] * 500))


def test_trends_that_nobody_subscribed_to_need_no_reason() -> None:
    few = TrendReadiness(workflow="fix", judged=4, costed=0)
    subscribed = replace(make_subscription(), kinds=frozenset({AlertKind.FAILED}))

    shown = text_of(subscription_list_message([subscribed], now=NOW, readiness=[few]))

    assert "Too few" not in shown


def test_the_list_matches_its_snapshot() -> None:
    message = subscription_list_message([make_subscription(), EVERYTHING, CONFIGURED], now=NOW)

    assert_matches_snapshot("alert_subscriptions", message)


def test_each_row_has_a_button_but_what_the_configuration_keeps() -> None:
    message = subscription_list_message([make_subscription(), CONFIGURED], now=NOW)

    buttons = [block["accessory"] for block in message.blocks if "accessory" in block]
    assert [(one["action_id"], one["value"]) for one in buttons] == [
        (ids.EDIT_ALERTS, str(UUID(int=4)))
    ]
    assert "kept in `signalbox.toml`" in text_of(message)


def test_a_list_that_asks_which_one_ends_it_has_other_buttons() -> None:
    message = subscription_list_message([make_subscription(), EVERYTHING], now=NOW, question="?")

    buttons = [block["accessory"] for block in message.blocks if "accessory" in block]
    assert {one["action_id"] for one in buttons} == {ids.UNSUBSCRIBE_ALERTS}


def test_a_muted_channel_says_until_when_and_by_whom() -> None:
    muted = make_subscription(muted_until=NOW + timedelta(hours=2), muted_by="Ben")

    shown = text_of(subscription_list_message([muted], now=NOW))

    assert "Muted until" in shown
    assert "by Ben" in shown
    assert "`/workflow alerts mute off`" in shown
    later = subscription_list_message([muted], now=NOW + timedelta(hours=3))
    assert "Muted" not in text_of(later)


def test_as_many_long_subscriptions_as_a_channel_may_have_fit() -> None:
    long = replace(
        EVERYTHING,
        kinds=frozenset(AlertKind) - USUAL_KINDS | {AlertKind.NO_WORKER, AlertKind.WAITING},
        filter=replace(EVERYTHING.filter, repository="https://example.com/" + "r" * 180),
    )

    message = subscription_list_message([long] * 20, now=NOW)

    assert_plainly_fits(message)
    assert "more_" in text_of(message)


def assert_plainly_fits(message: Message) -> None:
    """Like `assert_fits`, for a message that may mention the group of a subscription."""
    stripped = json.loads(json.dumps(message.blocks).replace("<!subteam^S0614TZR7>", "@oncall"))
    assert_fits(
        Message(text=message.text.replace("<!subteam^S0614TZR7>", ""), blocks=tuple(stripped))
    )


@pytest.mark.parametrize("words", AWKWARD_TEXTS)
def test_any_text_in_a_subscription_is_safe(words: str) -> None:
    awkward = make_subscription(
        filter=AlertFilter(workflow=words[:100], repository=words[:200], owner=words[:60]),
        mention=words[:100],
        created_by=words[:300],
        muted_until=NOW + timedelta(hours=1),
        muted_by=words[:300],
    )

    assert_fits(subscription_list_message([awkward], now=NOW))
    assert_fits(subscribed_message(awkward, number=1, is_new=True))
    assert_fits(unsubscribed_message([awkward] * 20, left=[]))
    assert_fits(public_line(public_subscription_words(awkward), ADA))
    assert_fits(ended_message("C0BUILDS", [awkward] * 20, reason=BOT_REMOVED))


def test_a_public_line_names_who_did_what_and_calls_nobody_else() -> None:
    message = public_line(public_subscription_words(EVERYTHING), ADA)

    shown = text_of(message)
    assert "<@U0ADA>" in shown
    assert "subteam" not in shown
    assert "mentions a user group" in shown


def test_a_mute_says_that_even_critical_alerts_are_not_told() -> None:
    muted = make_subscription(muted_until=NOW + timedelta(hours=2))

    assert "not even of critical alerts" in text_of(muted_message([muted]))
    assert "told here again" in text_of(muted_message([make_subscription()]))


def test_a_channel_without_subscriptions_is_told_what_to_type() -> None:
    assert "`/workflow alerts subscribe usual`" in text_of(no_subscription_message())


def test_the_offer_matches_its_snapshot() -> None:
    message = offer_message("C0BUILDS")

    assert_fits(message)
    assert_matches_snapshot("alert_offer", message)


@pytest.mark.parametrize(
    ("reason", "happened"),
    [
        (CHANNEL_ARCHIVED, "was archived"),
        (CHANNEL_DELETED, "was deleted"),
        (BOT_REMOVED, "removed from"),
    ],
)
def test_the_end_of_a_channel_says_why_and_what_to_type(reason: str, happened: str) -> None:
    shown = text_of(ended_message("C0BUILDS", [make_subscription()], reason=reason))

    assert happened in shown
    assert "<#C0BUILDS>" in shown
    assert "/workflow alerts subscribe usual" in shown


def test_the_command_in_the_end_of_a_channel_calls_nobody() -> None:
    message = ended_message("C0BUILDS", [EVERYTHING], reason=CHANNEL_ARCHIVED)

    assert_fits(message)
    assert "mention=&lt;!subteam^S0614TZR7&gt;" in text_of(message)
