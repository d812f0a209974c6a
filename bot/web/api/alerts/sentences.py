"""The one sentence that tells an alert with its numbers."""

from __future__ import annotations

from datetime import datetime

from bot.words.alerts.evidence import evidence_sentence
from bot.words.markup import PLAIN
from core.domain.alerts.episode import Episode


def alert_sentence(episode: Episode, now: datetime) -> str:
    """What an alert tells, in words, without markup."""
    return evidence_sentence(episode, now, PLAIN)
