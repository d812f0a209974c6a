"""The form of a subscription: what it shows, what is read from it, and its errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack import ids
from bot.slack.commands.alerts.form import ANY, read_alert_form
from bot.slack.commands.forms import BadForm
from bot.slack.views.alerts.form import FormChoices, alert_form
from core.agent.definitions.catalog import load_catalog
from core.domain.alerts.channels.subscription import AlertFilter, Subscription
from core.domain.alerts.kinds import AlertKind, Severity
from tests.unit.subscription_samples import EVERYTHING, make_subscription
from tests.unit.test_alert_commands import subscriptions
from tests.unit.view_helpers import assert_matches_snapshot, assert_view_fits

SHIPPED = load_catalog().all
CHOICES = FormChoices(workflows=SHIPPED, time_zone="Europe/Berlin")


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
