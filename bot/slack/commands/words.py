"""Words of a text that people typed into Slack.

Slack's clients turn `--` into a dash and straight quotes into curly ones, and wrap addresses and
names in markup.  This module undoes all of that.
"""

import re

from bot.slack.text import from_slack

# Without width: spaces, joiners, marks of direction, word joiner, soft hyphen, byte order mark.
INVISIBLE = frozenset(
    "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
)
_QUOTES = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“", "‘": "’", "’": "’", "«": "»"}
# `--` as typed, or the dash that a client made of it.
_FLAG = re.compile(r"(?:--|[—–―])(?P<name>[A-Za-z][A-Za-z_-]*)(?P<equals>=)?")
# `name=`, `name>=`, `name > `; as Slack escapes it.  A raw `<` begins a mention.
_SETTING = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z_-]*)\s*(?P<operator>(?:>|&gt;)=?|=(?:>|&gt;)?|≥|(?:&lt;|≤)=?|:(?!//))"
)
_OPERATORS = {"=>": ">=", "≥": ">=", ":": "="}
_END_OF_FLAGS = re.compile(rf"(?:--|[—–―])(?=[\s{''.join(sorted(INVISIBLE))}]|\Z)")
_WORD = re.compile(r"(?:<[^<>\n]*>|\S)+")


class WordReader:
    """Reads a text word by word from its start; the rest stays as Slack sent it.

    Invisible characters around a word count as white space: they come along when people copy a
    command, and nobody sees why it is not understood.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def rest(self) -> str:
        """The unread text as Slack sent it, without white space at its ends."""
        return trim(self._text[self._at :])

    @property
    def is_at_space(self) -> bool:
        """Whether the next visible character is white space, or there is none."""
        visible = (mark for mark in self._text[self._at :] if mark not in INVISIBLE)
        return next(visible, " ").isspace()

    @property
    def is_at_flag(self) -> bool:
        """Whether the next word is a flag."""
        return _FLAG.match(self._text, self._skip()) is not None

    def peek(self) -> str:
        """Return the next word as Slack sent it, without taking it; empty at the end."""
        return trim(self._word(self._skip()))

    def take(self) -> str:
        """Take the next word or quoted text, as the person typed it; empty at the end."""
        start = self._skip()
        quoted = self._quoted(start)
        if quoted is not None:
            return quoted
        word = self._word(start)
        self._at = start + len(word)
        return from_slack(trim(word), prefer_links=True)

    def take_flag(self) -> tuple[str, bool] | None:
        """Take the next word if it is a flag: its name, and whether `=` and a value must follow."""
        found = _FLAG.match(self._text, self._skip())
        if found is None:
            return None
        self._at = found.end()
        return found["name"].lower().replace("_", "-"), found["equals"] is not None

    def take_setting(self) -> tuple[str, str] | None:
        """Take the next word if it is a setting: its name, and `=`, `>`, `>=` or `<`."""
        found = _SETTING.match(self._text, self._skip())
        if found is None:
            return None
        self._at = found.end()
        operator = from_slack(found["operator"])
        if operator[0] in "<≤":
            operator = "<"
        return found["name"].lower().replace("_", "-"), _OPERATORS.get(operator, operator)

    def take_end_of_flags(self) -> bool:
        """Take a lone `--` if it is next; return whether it was.  After it nothing is a flag."""
        found = _END_OF_FLAGS.match(self._text, self._skip())
        if found is not None:
            self._at = found.end()
        return found is not None

    def _quoted(self, start: int) -> str | None:
        closing = _QUOTES.get(self._text[start : start + 1])
        if closing is None:
            return None
        ends = {closing, self._text[start]}
        for at in range(start + 1, len(self._text)):
            after = self._text[at + 1 : at + 2]
            if self._text[at] in ends and (not after or _is_blank(after)):
                self._at = at + 1
                return from_slack(self._text[start + 1 : at], prefer_links=True)
        return None

    def _skip(self) -> int:
        at = self._at
        while at < len(self._text) and _is_blank(self._text[at]):
            at += 1
        return at

    def _word(self, start: int) -> str:
        found = _WORD.match(self._text, start)
        return found[0] if found else ""


def _is_blank(character: str) -> bool:
    return character.isspace() or character in INVISIBLE


def trim(text: str) -> str:
    """A text without white space and invisible characters at its ends."""
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while end > start and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]
