"""Messages about any alerts: whatever their texts and numbers are, Slack accepts them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.views.alerts.message import alert_messages
from bot.slack.views.runs.links import ThreadLinks
from core.domain.actor import User
from core.domain.alerts.channels.delivery import GroupType
from core.domain.alerts.episode import Episode
from core.domain.alerts.history import AlertEvent
from core.domain.alerts.kinds import AlertKind, Severity, Subject
from core.domain.runs.run import Run, StopReason
from core.domain.runs.snapshot import RunSnapshot
from tests.alerts.sample_messages import STATES, event, in_state, message_of
from tests.alerts.samples import CARD, CONDITIONS, FIRED
from tests.unit.view_helpers import (
    ADA,
    AWKWARD_TEXTS,
    NOW,
    assert_fits,
    make_ended_run,
    make_run,
    make_snapshot,
)

LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
LATER = NOW + timedelta(minutes=1)
ADA_CALLED = "<@U0ADA>"
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
