"""Private answers to buttons of messages about alerts."""

from __future__ import annotations

from collections.abc import Sequence

from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.words.alerts.states import ended_words
from core.domain.alerts.episode import Episode


def already_ended(alerts: Sequence[Episode]) -> Message:
    """That there is nothing left to do: all alerts of a message have ended.

    Args:
        alerts: The alerts; at least one.
    """
    last = max(alerts, key=lambda alert: alert.resolved_at or alert.opened_at)
    at = MRKDWN.date_time(last.resolved_at or last.observed_at)
    words = (
        f"These alerts have already ended, the last one {at}"
        if len(alerts) > 1
        else f"This alert has already ended, {at}"
    )
    how = ended_words(last) if len(alerts) == 1 else ""
    sentence = f"{words}: {how}." if how else f"{words}."
    return Message(text=sentence, blocks=(blocks.section(sentence),))
