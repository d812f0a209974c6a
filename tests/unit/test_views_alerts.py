"""Messages about alerts: every kind in every state, groups, and their buttons."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.slack import ids
from bot.slack.views.alerts.message import ALERT, alert_messages
from bot.slack.views.alerts.receipts import already_ended
from bot.slack.views.runs.links import ThreadLinks
from core.domain.alerts.channels.delivery import MAX_GROUP_MEMBERS, GroupType
from core.domain.alerts.episode import Resolution, resolve
from core.domain.alerts.kinds import AlertKind, Subject, SubjectType
from core.domain.alerts.message import AlertMessage
from tests.alerts.sample_messages import (
    STATES,
    four_failed,
    history_of_a_stall,
    in_state,
    message_of,
    quiet_hours,
    run_of,
    summary,
)
from tests.alerts.samples import open_alert
from tests.unit.view_helpers import NOW, assert_fits, assert_matches_snapshot, buttons_of, text_of

LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
ADA_CALLED = "<@U0ADA>"


def drawn(message: AlertMessage) -> dict[str, Any]:
    return dict(alert_messages(message, NOW, LINKS))


def head_of(message: AlertMessage) -> str:
    return text_of(drawn(message)[ALERT])


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_matches_its_snapshot_in_every_state(kind: AlertKind) -> None:
    states = {state: drawn(message_of(in_state(kind, state))) for state in STATES}

    for messages in states.values():
        for message in messages.values():
            assert_fits(message)
    shown = {
        state: {slot: asdict(message) for slot, message in messages.items()}
        for state, messages in states.items()
    }
    assert_matches_snapshot(f"alert_{kind}", shown)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("group", four_failed(mention=ADA_CALLED)),
        ("history", history_of_a_stall()),
        ("quiet", quiet_hours()),
        ("summary", summary()),
    ],
)
def test_messages_about_several_alerts_match_their_snapshots(
    name: str, message: AlertMessage
) -> None:
    messages = drawn(message)

    for one in messages.values():
        assert_fits(one)
    assert_matches_snapshot(f"alerts_{name}", {slot: asdict(one) for slot, one in messages.items()})


@pytest.mark.parametrize("kind", AlertKind)
def test_an_alert_that_has_ended_has_no_buttons(kind: AlertKind) -> None:
    assert buttons_of(drawn(message_of(in_state(kind, "resolved")))[ALERT]) == []


def test_an_alert_links_its_run_and_says_what_to_do() -> None:
    shown = head_of(message_of(open_alert(AlertKind.STALLED)))

    assert (
        "<https://acme.slack.com/archives/C0BUILDS/p1769220155940449|Add rate limiting to the API>"
        in shown
    )
    assert "`make test` has been running for 25 min; its output grew 10 min ago." in shown
    assert "*Next:* Stop it if it hangs" in shown


def test_somebody_who_takes_care_is_named_and_needs_no_advice() -> None:
    shown = head_of(message_of(in_state(AlertKind.STALLED, "acknowledged")))

    assert "acknowledged by Ben Okafor" in shown
    assert "*Next:*" not in shown


@pytest.mark.parametrize(
    ("kind", "state", "buttons"),
    [
        (AlertKind.STALLED, "open", ["Kill", "Still fine", "· Acknowledge"]),
        (AlertKind.STALLED, "acknowledged", ["Kill", "Still fine"]),
        (AlertKind.STALLED, "snoozed", ["Kill", "Acknowledge"]),
        (AlertKind.COST, "open", ["Kill", "Acknowledge"]),
        (AlertKind.MAX_TURNS, "open", ["+20 turns", "Acknowledge"]),
        (AlertKind.FAILED, "open", ["Continue", "Acknowledge"]),
        (AlertKind.ATTENTION, "open", ["Continue…", "Acknowledge"]),
        (AlertKind.NO_WORKER, "open", ["Acknowledge"]),
        (AlertKind.KILL_UNCONFIRMED, "acknowledged", []),
    ],
)
def test_the_buttons_are_those_that_help_now(
    kind: AlertKind, state: str, buttons: list[str]
) -> None:
    found = buttons_of(drawn(message_of(in_state(kind, state)))[ALERT])

    snoozes = ["· Snooze 1 h", "· Snooze 4 h", "· Snooze until 9:00"]
    assert found == [*buttons, *snoozes]


def test_the_kill_button_of_an_alert_asks_first() -> None:
    head = drawn(message_of(open_alert(AlertKind.COST)))[ALERT]

    kill = head.blocks[-1]["elements"][0]
    assert (kill["action_id"], kill["value"]) == (ids.KILL, "run_0a1b2c3d4e5f")
    assert kill["confirm"]["confirm"]["text"] == "Kill it"


def test_a_run_that_is_being_killed_has_no_second_kill_button() -> None:
    alert = open_alert(AlertKind.STALLED)
    run = run_of(alert, kill_requested_at=NOW)

    shown = buttons_of(drawn(message_of(alert, runs={alert.run_id: run}))[ALERT])

    assert shown[0] == "Force kill"


def test_an_alert_about_a_run_that_is_deleted_is_named_by_its_evidence() -> None:
    alert = replace(open_alert(AlertKind.FAILED), run_id=None)

    shown = drawn(message_of(alert, runs={}))[ALERT]

    assert_fits(shown)
    assert "Add rate limiting to the API" in text_of(shown)


def test_owners_are_named_and_not_called() -> None:
    shown = head_of(message_of(open_alert(AlertKind.FAILED)))

    assert "Ada Lovelace" in shown
    assert "<@" not in shown


def test_what_an_open_alert_shows_changes_at_most_once_a_minute() -> None:
    for kind in AlertKind:
        message = message_of(open_alert(kind))
        contents = {
            str(alert_messages(message, NOW + timedelta(seconds=second), LINKS))
            for second in range(0, 120, 3)
        }
        assert len(contents) <= 4, kind


def test_a_cost_that_rises_cent_by_cent_changes_few_messages() -> None:
    alert = open_alert(AlertKind.BUDGET)

    def head_at(cost: Decimal) -> str:
        costing = replace(alert, evidence={**alert.evidence, "cost_usd": str(cost)})
        run = run_of(costing, cost_usd=cost)
        return str(drawn(message_of(costing, runs={alert.run_id: run}))[ALERT])

    contents = {head_at(Decimal(cents) / 100) for cents in range(800, 1000)}

    assert len(contents) == 8


def test_a_group_says_how_many_and_each_line_has_its_own_state() -> None:
    shown = head_of(four_failed())

    assert "*4 runs failed*" in shown
    assert shown.count("· open") == 2
    assert "acknowledged by Ben Okafor" in shown
    assert "continued after" in shown
    assert "3 of 4 open" in shown


def test_a_group_is_acknowledged_as_a_whole() -> None:
    head = drawn(four_failed())[ALERT]

    assert buttons_of(head)[0] == "Acknowledge all"
    assert head.blocks[-1]["elements"][0]["value"] == str(four_failed().group.id)


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (GroupType.QUIET, "2 alerts during quiet hours"),
        (GroupType.MUTED, "2 alerts from the time of the mute"),
        (GroupType.EARLIER, "2 alerts from before the subscription"),
    ],
)
def test_a_list_says_of_which_time_it_is_and_of_which_kinds(kind: GroupType, title: str) -> None:
    alerts = [open_alert(AlertKind.FAILED, 1), open_alert(AlertKind.NO_WORKER, 2)]

    head = head_of(message_of(*alerts, kind=kind))

    assert title in head
    assert "Run failed" in head
    assert "No worker takes runs" in head
    assert "2 of 2 open" in head


def test_a_summary_counts_by_kind() -> None:
    shown = head_of(summary())

    assert "12 runs failed · 9 open" in shown
    assert "4 runs not heard of · 3 open" in shown
    assert "7 runs completed\n" in shown


def test_what_does_not_fit_leaves_out_ended_alerts_first() -> None:
    alerts = [
        open_alert(
            AlertKind.FAILED,
            number,
            subject=Subject(type=SubjectType.RUN, id=f"run_{number:012x}"),
            run_id=None,
            evidence={"task": f"Task number {number} " + "x" * 120},
        )
        for number in range(MAX_GROUP_MEMBERS)
    ]
    ended = [resolve(alert, Resolution.CONTINUED, NOW) for alert in alerts[:40]]

    head = drawn(message_of(*ended, *alerts[40:]))[ALERT]

    assert_fits(head)
    shown = text_of(head)
    assert all(f"Task number {number} " in shown for number in range(40, 50))


def test_a_press_on_what_has_ended_is_told_when_and_how() -> None:
    words = already_ended([in_state(AlertKind.STALLED, "resolved")])
    several = already_ended([in_state(AlertKind.STALLED, "resolved")] * 2)

    assert_fits(words)
    assert words.text.startswith("This alert has already ended, <!date^")
    assert words.text.endswith(": resolved after 11 min.")
    assert several.text.startswith("These alerts have already ended, the last one <!date^")
