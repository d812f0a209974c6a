"""Texts of people and agents as pages show them: without secrets and invisible characters.

A live page shows the same texts again and again, and looking for secrets takes a millisecond for
each page of text, so the last results are kept.
"""

from __future__ import annotations

from functools import lru_cache

from bot.words.texts import clean, clip, plain_line

# Nobody reads more of it in a page; the log and the transcript have the whole text.
MAX_CHARS = 20_000


def shown_text(text: str | None, limit: int = MAX_CHARS) -> str:
    """A text of several lines, at most so many characters of it."""
    return "" if not text else _whole(text[: 2 * limit], limit)


def shown_line(text: str | None, limit: int = 200) -> str:
    """A text on one line, at most so many characters of it."""
    return "" if not text else _line(text[: 4 * limit], limit)


@lru_cache(maxsize=1024)
def _whole(text: str, limit: int) -> str:
    return clip(clean(text), limit).strip("\n")


@lru_cache(maxsize=4096)
def _line(text: str, limit: int) -> str:
    return plain_line(text, limit)
