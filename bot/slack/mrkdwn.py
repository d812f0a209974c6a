"""Slack's implementation of `bot.words.markup.Markup`, for the sentences all surfaces share."""

from __future__ import annotations

from datetime import datetime

from bot.slack import dates, markdown, text
from bot.words.markup import NOBODY_KNOWN, Markup
from core.domain.actor import User


class Mrkdwn:
    """Markup in mrkdwn; all text is escaped."""

    def inline(self, words: str, limit: int) -> str:
        """The text on one line, escaped."""
        return text.one_line(words, limit)

    def code(self, words: str, limit: int = 200) -> str:
        """Inline code."""
        return text.code(words, limit)

    def person(self, user: User | None) -> str:
        """A mention of a person with a Slack id; otherwise the name."""
        return text.person(user.slack_user_id, user.name) if user else NOBODY_KNOWN

    def date_time(self, at: datetime) -> str:
        """Shown in the reader's own time zone."""
        return dates.date_time(at)

    def clock_time(self, at: datetime) -> str:
        """Shown in the reader's own time zone."""
        return dates.clock_time(at)

    def first_words(self, report: str, limit: int) -> str:
        """The first words of a report without Markdown, escaped."""
        return markdown.first_words(report, limit)

    def strong(self, words: str) -> str:
        """Bold."""
        return f"*{words}*"

    def quiet(self, words: str) -> str:
        """Italic."""
        return f"_{words}_"


MRKDWN: Markup = Mrkdwn()
