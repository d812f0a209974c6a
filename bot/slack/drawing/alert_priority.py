"""How urgent it is to draw a message about alerts."""

from __future__ import annotations

from datetime import timedelta

from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.diff import ActionKind, DrawAction
from bot.slack.views.alerts.message import ALERT
from bot.slack.views.alerts.replies import HISTORY
from core.domain.alerts.history import AlertEvent
from core.domain.alerts.kinds import Severity
from core.domain.alerts.message import AlertMessage
from core.services.alerts.alerts import UNSHOWN_GRACE

# Durations are shown in steps of a minute or more.
ALERT_REFRESH_GAP = timedelta(minutes=1)


def alert_priority(message: AlertMessage, action: DrawAction, is_idle: bool) -> Priority:
    """The priority of an action: what calls people, then states, then numbers and the history.

    A message about open alerts of which one is more than a notice is posted before anything else.
    """
    if is_idle:
        return Priority.IDLE
    if action.slot == HISTORY:
        return Priority.STEP
    if action.kind is not ActionKind.UPDATE:
        is_severe = any(
            alert.is_open and alert.severity >= Severity.WARNING for alert in message.alerts
        )
        return Priority.FINAL if is_severe else Priority.ANSWER
    return Priority.ANSWER if _has_unshown_event(message, action) else Priority.STEP


def _has_unshown_event(message: AlertMessage, action: DrawAction) -> bool:
    """Whether anything happened since the message was last updated, not only numbers changed.

    An alert that has joined the message was told by a reply.
    """
    if action.slot != ALERT or action.current is None:
        return False
    shown_at = action.current.updated_at - UNSHOWN_GRACE
    return any(
        event.at > shown_at and event.what is not AlertEvent.FIRED
        for events in message.events.values()
        for event in events
    )
