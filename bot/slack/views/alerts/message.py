"""Messages about alerts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.slack import text
from bot.slack.views import blocks
from bot.slack.views.message import Message
from core.domain.alerts.kinds import KIND_RULES, Severity
from core.domain.alerts.message import AlertMessage

# The slot of the message itself; its thread follows.
ALERT = "alert"


def alert_messages(message: AlertMessage, now: datetime) -> Mapping[str, Message]:  # noqa: ARG001
    """Draw a message about alerts: the desired contents by slot, the head first."""
    lines = []
    for alert in message.alerts:
        icon = "🔴" if alert.severity is Severity.CRITICAL else "🟡"
        subject = text.one_line(str(alert.evidence.get("task") or alert.subject.id), 120)
        lines.append(f"{icon} *{subject}* · {KIND_RULES[alert.kind].meaning}")
    return {ALERT: Message(text=lines[0], blocks=tuple(blocks.paragraphs(lines)))}
