"""What people see of subscriptions: lists, answers, the form, offers and ends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack import ids
from bot.slack.commands.alerts.form import ANY, read_alert_form
from bot.slack.commands.command import Subcommand
from bot.slack.commands.forms import BadForm
from bot.slack.views.alerts.channels import (
    BOT_REMOVED,
    CHANNEL_ARCHIVED,
    CHANNEL_DELETED,
    ended_message,
    offer_message,
)
from bot.slack.views.alerts.example import example_answer
from bot.slack.views.alerts.form import FormChoices, alert_form
from bot.slack.views.alerts.subscriptions import (
    muted_message,
    no_subscription_message,
    public_line,
    public_subscription_words,
    subscribed_message,
    subscription_list_message,
    unsubscribed_message,
)
from bot.slack.views.help import help_message
from bot.slack.views.message import Message
from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Actor, Origin, Role
from core.domain.alerts.example import example_episode
from core.domain.alerts.kinds import USUAL_KINDS, AlertKind, Severity
from core.domain.alerts.quiet_hours import QuietHours
from core.domain.alerts.subscription import AlertFilter, DigestPeriod, Source, Subscription
from tests.unit.test_alert_commands import subscriptions
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    NOW,
    assert_fits,
    assert_matches_snapshot,
    assert_view_fits,
    text_of,
)

SHIPPED = load_catalog().all
CHOICES = FormChoices(workflows=SHIPPED, time_zone="Europe/Berlin")
ADA = Actor(role=Role.RUNNER, origin=Origin.SLACK, external_id="U0ADA", name="Ada Lovelace")


def make_subscription(**changes: Any) -> Subscription:
    values: dict[str, Any] = {
        "id": UUID(int=4),
        "team_id": "T0ACME",
        "channel_id": "C0BUILDS",
        "source": Source.SLACK,
        "created_at": NOW - timedelta(days=2),
        "created_by": "Ada Lovelace",
    }
    return Subscription(**(values | changes))


EVERYTHING = make_subscription(
    id=UUID(int=5),
    kinds=frozenset({AlertKind.FAILED, AlertKind.STALLED}),
    filter=AlertFilter(
        workflow="implement",
        repository="acme/api",
        owner="U0ADA",
        least_severity=Severity.WARNING,
        least_cost_usd=Decimal("2.50"),
    ),
    pending_for=timedelta(minutes=15),
    mention="<!subteam^S0614TZR7>",
    broadcasts=True,
    time_zone="Europe/Berlin",
    quiet_hours=QuietHours(start=time(22), end=time(7), time_zone="Europe/Berlin"),
    digest=DigestPeriod.WEEKLY,
    digest_hour=8,
    progress_every=timedelta(minutes=10),
)
CONFIGURED = make_subscription(id=UUID(int=6), source=Source.CONFIG, created_by=None)


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


# --- the form


def filled(view: dict[str, Any], **entered: dict[str, Any]) -> dict[str, Any]:
    """A form as Slack sends it back: the initial values, but for those that were entered."""
    values: dict[str, dict[str, Any]] = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        state: dict[str, Any] = {"type": element["type"]}
        for initial, key in {
            "initial_value": "value",
            "initial_option": "selected_option",
            "initial_options": "selected_options",
            "initial_users": "selected_users",
        }.items():
            if initial in element:
                state[key] = element[initial]
        values[block["block_id"]] = {ids.VALUE: state | entered.get(block["block_id"], {})}
    return {**view, "state": {"values": values}}


def test_the_empty_form_matches_its_snapshot() -> None:
    view = alert_form(CHOICES, channel_id="C0BUILDS")

    assert_view_fits(view)
    assert_matches_snapshot("modal_alerts", view)


def test_the_form_of_a_subscription_matches_its_snapshot() -> None:
    view = alert_form(CHOICES, channel_id="C0BUILDS", subscription=EVERYTHING)

    assert_view_fits(view)
    assert_matches_snapshot("modal_alerts_edit", view)


def test_an_untouched_form_asks_for_the_usual_alerts() -> None:
    form = read_alert_form(filled(alert_form(CHOICES, channel_id="C0BUILDS")))

    assert form.channel_id == "C0BUILDS"
    assert form.subscription_id is None
    made = form.wishes.applied_to(make_subscription())
    assert made == make_subscription(time_zone="Europe/Berlin")


@settings(deadline=None)
@given(subscriptions())
def test_an_untouched_form_of_a_subscription_changes_nothing(subscription: Subscription) -> None:
    # The form has no severity "info": it restricts nothing.
    severity = subscription.filter.least_severity
    if severity is Severity.INFO:
        subscription = replace(
            subscription, filter=replace(subscription.filter, least_severity=None)
        )
    view = alert_form(CHOICES, channel_id="C0BUILDS", subscription=subscription)

    form = read_alert_form(filled(view))

    assert_view_fits(view)
    assert form.subscription_id == subscription.id
    assert form.wishes.applied_to(subscription) == subscription


def test_what_is_entered_is_read() -> None:
    view = alert_form(CHOICES, channel_id="C0BUILDS")

    form = read_alert_form(
        filled(
            view,
            kinds={"selected_options": [{"value": "failed"}, {"value": "max_turns"}]},
            owner={"selected_users": ["U024BE7LH"]},
            severity={"selected_option": {"value": "critical"}},
            group={"value": "@oncall"},
            quiet={"value": "22-7"},
            progress={"value": "10m"},
            broadcast={"selected_options": [{"value": "on"}]},
        )
    )

    assert form.wishes.kinds == {AlertKind.FAILED, AlertKind.MAX_TURNS}
    assert form.wishes.filter.owner == "U024BE7LH"
    assert form.wishes.filter.least_severity is Severity.CRITICAL
    assert form.wishes.mention == "@oncall"
    assert form.wishes.quiet_hours == "22:00-07:00"
    assert form.wishes.progress_every == timedelta(minutes=10)
    assert form.wishes.broadcasts


def test_every_wrong_field_has_its_own_error() -> None:
    view = alert_form(CHOICES, channel_id="C0BUILDS")
    wrong = {"cost": "lots", "for": "soon", "quiet": "late", "time_zone": "Moon", "progress": "1s"}

    with pytest.raises(BadForm) as caught:
        read_alert_form(filled(view, **{name: {"value": text} for name, text in wrong.items()}))

    assert set(caught.value.errors) == set(wrong)
    assert all("for example" in text for text in caught.value.errors.values())


def test_a_group_and_a_person_cannot_both_be_mentioned() -> None:
    view = alert_form(CHOICES, channel_id="C0BUILDS")

    with pytest.raises(BadForm) as caught:
        read_alert_form(
            filled(view, group={"value": "@oncall"}, person={"selected_users": ["U024BE7LH"]})
        )

    assert set(caught.value.errors) == {ids.FIELD_PERSON}


@pytest.mark.parametrize(
    "metadata",
    ["", "[]", "{}", '{"channel_id":"no channel"}', '{"channel_id":"C1","subscription_id":"x"}'],
)
def test_a_form_with_forged_metadata_is_refused(metadata: str) -> None:
    view = {**alert_form(CHOICES, channel_id="C0BUILDS"), "private_metadata": metadata}

    with pytest.raises(BadForm) as caught:
        read_alert_form(filled(view))

    assert "broken" in caught.value.errors[ids.FIELD_KINDS]


@settings(deadline=None)
@given(st.recursive(st.none() | st.text() | st.integers(), st.lists))
def test_any_value_in_a_field_is_read_or_refused(value: Any) -> None:
    view = alert_form(CHOICES, channel_id="C0BUILDS")
    keys = ("value", "selected_option", "selected_options", "selected_users")
    entered = {field: dict.fromkeys(keys, value) for field in ("kinds", "owner", "quiet")}

    outcome: Any
    try:
        outcome = read_alert_form(filled(view, **entered)).channel_id
    except BadForm as refusal:
        outcome = refusal.errors

    assert outcome


def test_a_workflow_that_is_gone_stays_chosen_until_somebody_changes_it() -> None:
    subscription = make_subscription(filter=AlertFilter(workflow="gone"))

    view = alert_form(CHOICES, channel_id="C0BUILDS", subscription=subscription)

    assert read_alert_form(filled(view)).wishes.filter.workflow == "gone"
    every = {"selected_option": {"value": ANY}}
    assert read_alert_form(filled(view, workflow=every)).wishes.filter.workflow is None


def test_the_name_of_a_group_is_shown_where_it_is_known() -> None:
    choices = replace(CHOICES, group_names={"S0614TZR7": "oncall"})

    view = alert_form(choices, channel_id="C0BUILDS", subscription=EVERYTHING)

    fields = {block.get("block_id"): block for block in view["blocks"]}
    assert fields[ids.FIELD_GROUP]["element"]["initial_value"] == "@oncall"


# --- the example

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
