"""Texts of people and programs, made safe to show: redacted, cleaned and shortened."""

import re
from collections.abc import Callable

from core.domain.redact import redact

ELLIPSIS = "…"

# Control characters that surfaces refuse or hide, and marks that change the reading direction,
# which can disguise a text.
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Remove credentials and invisible characters from a text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("", redact(text))


def clip(text: str, limit: int) -> str:
    """Shorten a text to at most `limit` characters, if possible at the end of a word."""
    return clip_by_cost(text, limit, cost=len)


def clip_by_cost(text: str, limit: int, *, cost: Callable[[str], int]) -> str:
    """Shorten `text` until it costs at most `limit`; `cost` is additive over characters."""
    if cost(text) <= limit:
        return text
    if limit <= 0:
        return ""
    left = limit - len(ELLIPSIS)
    length = 0
    for character in text:
        left -= cost(character)
        if left < 0:
            break
        length += 1
    shortened = text[:length]
    # Cut at the end of a word, if that loses less than an eighth of the text.
    space = max(shortened.rfind(" "), shortened.rfind("\n"))
    if space > length - max(length // 8, 1):
        shortened = shortened[:space]
    return shortened.rstrip() + ELLIPSIS


def plain_line(text: str, limit: int) -> str:
    """A text on one line, shortened but not escaped, for output without markup."""
    return clip(" ".join(clean(text).split()), limit)
