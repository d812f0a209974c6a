"""The protocol by which a surface adds names, times and emphasis to shared sentences."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bot.words import texts, times
from core.domain.actor import User

NOBODY_KNOWN = "nobody known"


class Markup(Protocol):
    """Writes the parts of a sentence in the markup of one surface.

    The sentences of `bot.words` contain no markup.  Texts of people and programs, and parts with
    emphasis, pass through these methods, so that each surface escapes and marks them its own way.
    """

    def inline(self, text: str, limit: int) -> str:
        """A text of people or programs, on one line of at most `limit` characters."""
        ...

    def code(self, text: str, limit: int = 200) -> str:
        """A literal: a name, a path, a command."""
        ...

    def person(self, user: User | None) -> str:
        """A person, as a mention if the surface has mentions."""
        ...

    def date_time(self, at: datetime) -> str:
        """A date and time, to the minute, if possible in the reader's own time zone."""
        ...

    def clock_time(self, at: datetime) -> str:
        """A time of day, to the minute, if possible in the reader's own time zone."""
        ...

    def first_words(self, report: str, limit: int) -> str:
        """The first line of prose of a report that an agent wrote in Markdown."""
        ...

    def strong(self, words: str) -> str:
        """Emphasised text; the caller has escaped it."""
        ...

    def quiet(self, words: str) -> str:
        """Text of less importance; the caller has escaped it."""
        ...


class PlainMarkup:
    """No markup, for terminals and logs."""

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
        """The first non-empty line, with its markup."""
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
