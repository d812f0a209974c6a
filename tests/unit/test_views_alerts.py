"""Messages about alerts: every kind in every state, groups, replies, and what cannot break them."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack import ids
from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.alert_priority import alert_priority
from bot.slack.drawing.diff import ActionKind, DrawAction
from bot.slack.views.alerts.lines import mention_of
from bot.slack.views.alerts.message import ALERT, alert_messages
from bot.slack.views.alerts.receipts import already_ended
from bot.slack.views.runs.links import ThreadLinks
from core.domain.actor import User
from core.domain.alerts.delivery import MAX_GROUP_MEMBERS, GroupType
from core.domain.alerts.episode import AlertState, Episode, Resolution, resolve
from core.domain.alerts.history import AlertEvent
from core.domain.alerts.kinds import AlertKind, Severity, Subject, SubjectType
from core.domain.alerts.message import AlertMessage
from core.domain.drawables import SlackMessage, SlackMessageState
from core.domain.runs.run import Run, StopReason
from core.domain.runs.snapshot import RunSnapshot
from tests.alerts.sample_messages import (
    STATES,
    event,
    four_failed,
    history_of_a_stall,
    in_state,
    message_of,
    quiet_hours,
    run_of,
    summary,
)
from tests.alerts.samples import CARD, CONDITIONS, FIRED, open_alert
from tests.unit.view_helpers import (
    ADA,
    AWKWARD_TEXTS,
    NOW,
    assert_fits,
    assert_matches_snapshot,
    buttons_of,
    make_ended_run,
    make_run,
    make_snapshot,
    text_of,
)

LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
LATER = NOW + timedelta(minutes=1)
ADA_CALLED = "<@U0ADA>"


def drawn(message: AlertMessage) -> dict[str, Any]:
    return dict(alert_messages(message, NOW, LINKS))


def head_of(message: AlertMessage) -> str:
    return text_of(drawn(message)[ALERT])


# --- snapshots


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


# --- one alert


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


# --- several alerts


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


# --- the thread


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
        for alert, seconds in zip(message.alerts, (0, 61, 70, 119), strict=True)
    }

    replies = drawn(replace(message, told_at=told_at))

    assert list(replies) == [ALERT, "joined:1"]
    assert replies["joined:1"].text.startswith(f"{ADA_CALLED} 🟠 *3 more runs failed*")
    assert "Fix the flaky login test" in text_of(replies["joined:1"])


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


# --- answers


def test_a_press_on_what_has_ended_is_told_when_and_how() -> None:
    words = already_ended([in_state(AlertKind.STALLED, "resolved")])
    several = already_ended([in_state(AlertKind.STALLED, "resolved")] * 2)

    assert_fits(words)
    assert words.text.startswith("This alert has already ended, <!date^")
    assert words.text.endswith(": resolved after 11 min.")
    assert several.text.startswith("These alerts have already ended, the last one <!date^")


# --- urgency


def action_of(kind: ActionKind, slot: str = ALERT, *, shown_before: float = 60) -> DrawAction:
    current = SlackMessage(
        id=UUID(int=9),
        thread_key="x",
        slot=slot,
        channel_id="C1",
        state=SlackMessageState.SHOWN,
        updated_at=NOW - timedelta(seconds=shown_before),
    )
    return DrawAction(
        kind=kind,
        slot=slot,
        message=already_ended([in_state(AlertKind.STALLED, "resolved")]),
        current=None if kind is ActionKind.POST else current,
        channel_id="C1",
        thread_ts=None,
    )


def test_what_calls_people_comes_first_and_numbers_come_last() -> None:
    alert = open_alert(AlertKind.STALLED)
    quiet = message_of(alert)
    acknowledged = message_of(
        alert, events=[event(2, alert, AlertEvent.ACKNOWLEDGED, NOW, by="Ben")]
    )
    notice = message_of(open_alert(AlertKind.COMPLETED))
    post, update = action_of(ActionKind.POST), action_of(ActionKind.UPDATE)

    assert alert_priority(quiet, post, False) is Priority.FINAL
    assert alert_priority(notice, post, False) is Priority.ANSWER
    assert alert_priority(acknowledged, update, False) is Priority.ANSWER
    assert alert_priority(quiet, update, False) is Priority.STEP
    assert alert_priority(quiet, update, True) is Priority.IDLE
    history = action_of(ActionKind.POST, "history")
    assert alert_priority(acknowledged, history, False) is Priority.STEP


# --- anything


AWKWARD = st.sampled_from([*AWKWARD_TEXTS, "", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | AWKWARD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
KEYS = sorted({key for condition in CONDITIONS.values() for key in condition.evidence})


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    kind = draw(st.sampled_from(AlertKind))
    state = draw(st.sampled_from(STATES))
    alert = in_state(kind, state)
    stored = draw(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4))
    return replace(
        alert,
        id=UUID(int=draw(st.integers(min_value=0, max_value=2**100))),
        subject=Subject(type=alert.subject.type, id=draw(AWKWARD)),
        severity=draw(st.sampled_from(Severity)),
        evidence={**alert.evidence, **stored},
        acknowledged_by=draw(st.none() | AWKWARD),
        scope=replace(alert.scope, workflow=draw(AWKWARD), owner_name=draw(AWKWARD)),
    )


def _at_turn_limit(**fields: Any) -> Run:
    return make_ended_run(StopReason.MAX_TURNS, **fields)


@st.composite
def runs(draw: st.DrawFn) -> RunSnapshot:
    values = {
        "task_input": draw(AWKWARD),
        "workflow_name": draw(AWKWARD) or "x",
        "git_repo": draw(AWKWARD),
    }
    make = draw(st.sampled_from([make_run, _at_turn_limit]))
    owner = User(id=ADA.id, name=draw(AWKWARD))
    return make_snapshot(make(**values), card=draw(st.none() | st.just(CARD)), owner=owner)


@settings(max_examples=30, deadline=None)
@given(
    alerts=st.lists(episodes(), min_size=1, max_size=5),
    run=runs(),
    times=st.sampled_from([1, 10]),
    kind=st.sampled_from(GroupType),
    whats=st.lists(st.sampled_from(AlertEvent), max_size=3),
    data=st.dictionaries(st.sampled_from(["from", "to", "until", "resolution"]), JSON),
    name=AWKWARD,
)
def test_any_alerts_make_messages_that_slack_accepts(  # noqa: PLR0917 - hypothesis
    alerts: list[Episode],
    run: RunSnapshot,
    times: int,
    kind: GroupType,
    whats: list[AlertEvent],
    data: dict[str, Any],
    name: str,
) -> None:
    repeated = [
        replace(alert, id=UUID(int=(alert.id.int + number) % 2**128))
        for number in range(times)
        for alert in alerts
    ]
    events = [
        event(number, alert, what, NOW, by=name, **data)
        for number, what in enumerate(whats)
        for alert in repeated
    ]
    message = message_of(
        *repeated,
        kind=kind,
        events=events,
        mention=ADA_CALLED,
        broadcasts=True,
        runs={alert.run_id: run for alert in repeated if alert.run_id is not None},
        told_at={alert.id: FIRED + timedelta(seconds=n * 9) for n, alert in enumerate(repeated)},
    )

    for one in alert_messages(message, LATER, LINKS).values():
        assert_fits(one)
