"""The messages about alerts that people see most, for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.slack.views.alerts.message import ALERT, alert_messages
from bot.slack.views.message import Message
from bot.slack.views.runs.links import ThreadLinks
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.message import AlertMessage
from tests.alerts.sample_messages import (
    four_failed,
    in_state,
    message_of,
    quiet_hours,
    summary,
)
from tests.alerts.samples import open_alert
from tests.unit.view_helpers import NOW

LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")

ALERTS: Mapping[str, AlertMessage] = MappingProxyType(
    {
        "failed": message_of(open_alert(AlertKind.FAILED)),
        "stalled": message_of(open_alert(AlertKind.STALLED)),
        "acknowledged": message_of(in_state(AlertKind.STALLED, "acknowledged")),
        "resolved": message_of(in_state(AlertKind.STALLED, "resolved")),
        "turn-limit": message_of(open_alert(AlertKind.MAX_TURNS)),
        "no-worker": message_of(open_alert(AlertKind.NO_WORKER)),
        "failure-rate": message_of(open_alert(AlertKind.FAILURE_RATE)),
        "budget": message_of(in_state(AlertKind.BUDGET, "snoozed")),
        "group": four_failed(),
        "quiet": quiet_hours(),
        "summary": summary(),
    }
)


def drawn_alert(name: str) -> Message:
    """One of the messages, without its thread."""
    return alert_messages(ALERTS[name], NOW, LINKS)[ALERT]
