"""The one sentence that tells an alert with its numbers."""

from __future__ import annotations

from datetime import datetime

from bot.words import times
from bot.words.markup import PLAIN
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import KIND_RULES

_SUBJECT_CHARS = 120


def alert_sentence(episode: Episode, now: datetime) -> str:
    """What an alert tells, in words, without markup.

    The words of `bot.words.alerts.evidence` replace this body: one call with `PLAIN`.
    """
    meaning = KIND_RULES[episode.kind].meaning
    lasts = (episode.resolved_at or now) - episode.opened_at
    since = f", for {times.duration(lasts)}" if episode.is_open else ""
    task = episode.evidence.get("task")
    named = task if isinstance(task, str) and task else episode.subject.id
    return f"{meaning[:1].upper()}{meaning[1:]}: {PLAIN.inline(named, _SUBJECT_CHARS)}{since}."
