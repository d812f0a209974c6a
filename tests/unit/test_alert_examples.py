"""Example alerts: what `alerts test` shows, made by the real detectors."""

from __future__ import annotations

import pytest

from core.domain.alerts.episode import AlertState
from core.domain.alerts.example import example_message
from core.domain.alerts.example_conditions import EXAMPLE_ID, EXAMPLE_RUN_ID
from core.domain.alerts.history import AlertEvent
from core.domain.alerts.kinds import KIND_RULES, AlertKind, Lifetime, SubjectType
from core.domain.runs.request import Place
from tests.unit.view_helpers import NOW

PLACE = Place(team_id="T0ACME", channel_id="C0BUILDS")


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_an_example_that_fires_now(kind: AlertKind) -> None:
    message = example_message(kind, place=PLACE, now=NOW, mention="<@U024BE7LH>")

    (alert,) = message.alerts
    is_notice = KIND_RULES[kind].lifetime is Lifetime.NOTICE
    assert alert.kind is kind
    assert alert.fired_at == NOW
    assert alert.state is (AlertState.RESOLVED if is_notice else AlertState.FIRING)
    assert (message.group.kind, message.group.mention) == (kind, "<@U024BE7LH>")
    assert message.events[alert.id][0].what is AlertEvent.FIRED


@pytest.mark.parametrize("kind", AlertKind)
def test_an_example_says_that_it_is_one(kind: AlertKind) -> None:
    message = example_message(kind, place=PLACE, now=NOW)

    (alert,) = message.alerts
    if alert.subject.type is SubjectType.RUN:
        assert alert.subject.id == EXAMPLE_RUN_ID
        assert alert.evidence["task"].startswith("Example: ")
        assert message.runs[EXAMPLE_ID].run.task_input.startswith("Example: ")
        assert not message.runs[EXAMPLE_ID].run.is_live or kind not in {
            AlertKind.FAILED,
            AlertKind.KILLED,
        }
    else:
        assert not message.runs


def test_an_example_has_the_numbers_of_its_kind() -> None:
    rate = example_message(AlertKind.FAILURE_RATE, place=PLACE, now=NOW).alerts[0].evidence
    cost = example_message(AlertKind.COST_SPIKE, place=PLACE, now=NOW).alerts[0].evidence

    assert (rate["failures"], rate["runs"], rate["p"]) == (3, 5, pytest.approx(0.007, abs=0.001))
    assert (cost["cost_usd"], cost["median_usd"], cost["factor"]) == ("9.80", "1.4000", 7.0)
