"""The words of alerts: total tables, true sentences, and evidence that may be anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack import ids
from bot.slack.listeners.alert_buttons import SNOOZES
from bot.slack.views.alerts.buttons import SNOOZE_LABELS
from bot.words.alerts.ends import LEFT_PHRASES
from bot.words.alerts.evidence import SENTENCES, evidence_sentence
from bot.words.alerts.figures import over_amount, over_share, rough, rough_count
from bot.words.alerts.history import EVENT_ICONS, EVENT_WORDS, event_line
from bot.words.alerts.live_runs import WAITING_PHRASES
from bot.words.alerts.remedies import REMEDIES, remedy
from bot.words.alerts.states import RESOLUTION_ICONS, RESOLUTION_WORDS, STATE_WORDS, state_words
from bot.words.alerts.titles import (
    KIND_WORDS,
    SEVERITY_ICONS,
    SEVERITY_WORDS,
    SUBJECT_WORDS,
    counted,
)
from bot.words.markup import PLAIN
from core.domain.alerts.channels.mornings import next_morning
from core.domain.alerts.episode import AlertState, Episode, Resolution, resolve
from core.domain.alerts.history import AlertEvent
from core.domain.alerts.kinds import AlertKind, Severity, SubjectType
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.run import WaitingOn
from tests.alerts.sample_messages import event, in_state
from tests.alerts.samples import CONDITIONS, open_alert
from tests.unit.view_helpers import NOW


def test_lookup_tables_are_total() -> None:
    assert set(SENTENCES) == set(KIND_WORDS) == set(REMEDIES) == set(AlertKind)
    assert set(SEVERITY_WORDS) == set(SEVERITY_ICONS) == set(Severity)
    assert set(SUBJECT_WORDS) == set(SubjectType)
    assert set(STATE_WORDS) == set(AlertState)
    assert set(RESOLUTION_WORDS) == set(RESOLUTION_ICONS) == set(Resolution)
    assert set(EVENT_WORDS) == set(EVENT_ICONS) == set(AlertEvent)
    assert set(WAITING_PHRASES) == set(WaitingOn)
    assert set(LEFT_PHRASES) == set(OutcomeReason)
    assert set(SNOOZE_LABELS) == {*SNOOZES, ids.ALERT_SNOOZE_MORNING}


def sentence(alert: Episode) -> str:
    return evidence_sentence(alert, NOW, PLAIN)


def with_evidence(kind: AlertKind, **evidence: Any) -> Episode:
    return open_alert(kind, evidence={**CONDITIONS[kind].evidence, **evidence})


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        (
            open_alert(AlertKind.STALLED),
            "The call make test has been running for 25 min; its output grew 10 min ago.",
        ),
        (
            replace(
                with_evidence(AlertKind.STALLED, awaited="model", name=None),
                opened_at=NOW - timedelta(minutes=6, seconds=40),
            ),
            "Nothing heard for 6 min; the model has not answered yet.",
        ),
        (
            open_alert(AlertKind.FAILURE_RATE),
            "3 of the last 5 runs of fix failed (23 % to 88 %), before 4 of 60 (p = 0.007).",
        ),
        (open_alert(AlertKind.COST_SPIKE), "$14.20, 6.3 times the usual $2.25 of 40 runs."),
        (
            open_alert(AlertKind.NO_WORKER),
            "2 runs wait, and no worker was heard of since 03:05 UTC (9 min).",
        ),
        (
            with_evidence(AlertKind.NO_WORKER, pending=1, last_heard_at=None),
            "1 run waits, and no worker has been started since 03:05 UTC (9 min).",
        ),
        (open_alert(AlertKind.BUDGET), "It has used over 85 % of its budget of $10.00."),
        (
            with_evidence(AlertKind.BUDGET, cost_usd="10.31", has_ended=True),
            "It stopped at its budget and is not finished: $10.31 of $10.00; its work is kept.",
        ),
        (
            open_alert(AlertKind.ATTENTION),
            "It finished, 1 test fails, nothing is committed (after 18 turns, 4 min 12 s, $0.099).",
        ),
        (
            with_evidence(AlertKind.KILL_UNCONFIRMED, survivors=0, machine=None),
            "The kill was requested at 03:12 UTC (2 min ago), and no worker can check its machine.",
        ),
    ],
)
def test_the_evidence_is_told_with_its_numbers(alert: Episode, words: str) -> None:
    assert sentence(alert) == words


@pytest.mark.parametrize("kind", AlertKind)
def test_what_has_ended_is_told_as_it_was_and_never_changes(kind: AlertKind) -> None:
    ended = in_state(kind, "resolved")

    now = evidence_sentence(ended, NOW, PLAIN)

    assert now == evidence_sentence(ended, NOW + timedelta(days=3), PLAIN)
    assert " ago" not in now


@pytest.mark.parametrize("kind", AlertKind)
def test_an_alert_without_evidence_is_still_a_sentence(kind: AlertKind) -> None:
    bare = open_alert(kind, evidence={})

    for alert in (bare, resolve(bare, Resolution.RECOVERED, NOW)):
        words = sentence(alert)
        assert words.endswith(".")
        assert "None" not in words
        assert "{" not in words + remedy(alert, PLAIN)


_KEYS = sorted({key for condition in CONDITIONS.values() for key in condition.evidence})
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)


@given(
    kind=st.sampled_from(AlertKind),
    stored=st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=6),
    is_over=st.booleans(),
)
def test_evidence_of_any_other_version_is_no_error(
    kind: AlertKind, stored: dict[str, Any], *, is_over: bool
) -> None:
    alert = with_evidence(kind, **stored)
    shown = resolve(alert, Resolution.RECOVERED, NOW) if is_over else alert

    assert sentence(shown).endswith(".")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("open", "open"),
        ("acknowledged", "👀 acknowledged by Ben Okafor"),
        ("snoozed", "💤 snoozed until 04:14 UTC by Ben Okafor"),
        ("unstable", "recovering since 03:13 UTC · unstable: it comes and goes"),
        ("resolved", "resolved after 11 min"),
    ],
)
def test_a_state_is_told_in_a_few_words(state: str, words: str) -> None:
    assert state_words(in_state(AlertKind.STALLED, state), NOW, PLAIN) == words


@pytest.mark.parametrize(
    ("resolution", "words"),
    [
        (Resolution.CONTINUED, "continued after 2 min"),
        (Resolution.CLOSED, "closed after 2 min: nobody continued it"),
        (Resolution.RUN_ENDED, "over after 2 min: the run has ended"),
        (Resolution.NOTICE, ""),
    ],
)
def test_an_end_says_how(resolution: Resolution, words: str) -> None:
    ended = resolve(open_alert(AlertKind.FAILED), resolution, NOW)

    assert state_words(ended, NOW, PLAIN) == words


def test_a_snooze_that_is_over_is_not_shown() -> None:
    snoozed = in_state(AlertKind.STALLED, "snoozed")

    assert state_words(snoozed, NOW + timedelta(hours=2), PLAIN) == "open"


@pytest.mark.parametrize("what", AlertEvent)
def test_every_event_is_a_line_with_its_time(what: AlertEvent) -> None:
    alert = open_alert(AlertKind.STALLED)
    happened = event(
        1,
        alert,
        what,
        NOW,
        by="Ben",
        until=(NOW + timedelta(hours=1)).isoformat(),
        **{"from": 2, "to": 3},
    )

    line = event_line(happened, alert, PLAIN)
    among_others = event_line(happened, alert, PLAIN, about="Add rate limiting")

    assert line.startswith(f"{EVENT_ICONS[what]} 03:14 UTC ")
    assert "Add rate limiting: " in among_others
    assert "None" not in line + among_others


def test_an_event_of_another_version_is_no_error() -> None:
    alert = open_alert(AlertKind.STALLED)
    bare = replace(event(1, alert, AlertEvent.RAISED, NOW), data={"from": "x", "to": None})

    assert event_line(bare, alert, PLAIN) == "⬆️ 03:14 UTC Severity changed"


@pytest.mark.parametrize(
    ("kind", "number", "words"),
    [
        (AlertKind.FAILED, 4, "4 runs failed"),
        (AlertKind.FAILED, 1, "1 run failed"),
        (AlertKind.LONG_RUNNING, 2, "2 runs take long"),
        (AlertKind.LONG_RUNNING, 1, "1 run takes long"),
        (AlertKind.WORKER_LOST, 2, "2 workers lost"),
        (AlertKind.ATTENTION, 1, "1 run finished, but needs a look"),
        (AlertKind.ATTENTION, 2, "2 runs finished, but need a look"),
    ],
)
def test_alerts_are_counted_in_good_english(kind: AlertKind, number: int, words: str) -> None:
    assert counted(kind, number) == words


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=59), "under 1 min"),
        (timedelta(minutes=6, seconds=59), "6 min"),
        (timedelta(minutes=19), "15 min"),
        (timedelta(hours=1, minutes=59), "1 h 30 min"),
        (timedelta(hours=9, minutes=59), "9 h 00 min"),
        (timedelta(seconds=-5), "under 1 min"),
    ],
)
def test_durations_that_grow_are_rounded_down(length: timedelta, words: str) -> None:
    assert rough(length) == words


@given(st.integers(min_value=0, max_value=10_000))
def test_rounded_counts_are_never_too_high(number: int) -> None:
    words = rough_count(number)
    shown = int(words.removeprefix("over ").replace(",", ""))

    assert shown <= number
    assert words.startswith("over ") is (shown != number)


def test_rounded_costs_are_never_too_high() -> None:
    limit = Decimal(10)

    assert over_share(Decimal("8.50"), limit) == "85 %"
    assert over_share(Decimal("8.99"), limit) == "over 85 %"
    assert over_amount(Decimal("11.34"), limit) == "over $11.00"
    assert over_amount(Decimal(10), limit) == "$10.00"


@pytest.mark.parametrize(
    ("now", "zone", "morning"),
    [
        # A person who is woken at 3 a.m. in Berlin means this morning.
        (datetime(2026, 11, 21, 2, 0, tzinfo=UTC), "Europe/Berlin", (21, 8)),
        (datetime(2026, 11, 21, 7, 30, tzinfo=UTC), "Europe/Berlin", (22, 8)),
        (datetime(2026, 11, 21, 15, 0, tzinfo=UTC), "UTC", (22, 9)),
        # The night in which clocks go back.
        (datetime(2026, 10, 24, 20, 0, tzinfo=UTC), "Europe/Berlin", (25, 8)),
    ],
)
def test_a_snooze_until_the_morning_ends_at_nine_in_the_channels_time_zone(
    now: datetime, zone: str, morning: tuple[int, int]
) -> None:
    found = next_morning(now, time_zone=zone)

    assert (found.day, found.hour, found.minute) == (*morning, 0)
    assert found - now >= timedelta(hours=1)
