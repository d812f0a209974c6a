"""How a surface writes what is not its own words into a sentence."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bot.words import texts, times
from core.domain.actor import User

NOBODY_KNOWN = "nobody known"


class Markup(Protocol):
    """What a surface does to the parts of a sentence.

    The sentences of `bot.words` hold no markup.  What people and programs wrote, and whatever is
    to stand out, passes through this, so that each surface escapes and marks it in its own way.
    """

    def inline(self, text: str, limit: int) -> str:
        """A text of people or programs, on one line of at most `limit` characters."""
        ...

    def code(self, text: str, limit: int = 200) -> str:
        """A literal: a name, a path, a command."""
        ...

    def person(self, user: User | None) -> str:
        """Somebody, by a mention where the surface has such."""
        ...

    def date_time(self, at: datetime) -> str:
        """A day and time, to the minute, if possible in the reader's own zone."""
        ...

    def clock_time(self, at: datetime) -> str:
        """A time of day, to the minute, if possible in the reader's own zone."""
        ...

    def first_words(self, report: str, limit: int) -> str:
        """The first sentence-like line of a report that an agent wrote in Markdown."""
        ...

    def strong(self, words: str) -> str:
        """Words that are already safe, and are to stand out."""
        ...

    def quiet(self, words: str) -> str:
        """Words that are already safe, and say the lesser thing."""
        ...


class PlainMarkup:
    """No markup at all: for a terminal, a log, a sentence that is read aloud."""

    def inline(self, text: str, limit: int) -> str:
        """The text itself."""
        return texts.plain_line(text, limit)

    def code(self, text: str, limit: int = 200) -> str:
        """The literal itself."""
        return texts.plain_line(text, limit)

    def person(self, user: User | None) -> str:
        """The name."""
        return NOBODY_KNOWN if user is None else texts.plain_line(user.name, 80)

    def date_time(self, at: datetime) -> str:
        """In UTC."""
        return times.utc_date_time(at)

    def clock_time(self, at: datetime) -> str:
        """In UTC."""
        return times.utc_clock_time(at)

    def first_words(self, report: str, limit: int) -> str:
        """The first line that is not empty, as it was written."""
        return next(
            (texts.plain_line(line, limit) for line in report.splitlines() if line.strip()), ""
        )

    def strong(self, words: str) -> str:
        """The words themselves."""
        return words

    def quiet(self, words: str) -> str:
        """The words themselves."""
        return words


PLAIN: Markup = PlainMarkup()
