"""The agent's Markdown, made safe for Slack's markdown block and translated to mrkdwn.

Nothing an agent writes may call people (`<!channel>`), or hide where a link leads.  What
Slack does with its own markup inside a markdown block is not documented, so there the
markup is both broken up and escaped.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bot.slack.text import ZERO_WIDTH_SPACE, escape
from bot.words.texts import clean, clip

# The start of something Slack could act on: a mention, a channel, a command, a link.
_ACTIVE_MARKUP = re.compile(r"<(?=[!@#]|[a-z][a-z0-9+.-]*:)", re.IGNORECASE)
_FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:.+?)(?<!`)\1(?!`)")
# Innermost first; `_without_links` goes on outwards.
_LINK = re.compile(
    r"!?\[(?P<text>[^\[\]\n]*)\]"
    r"\((?P<target>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)[^()\n]*\)"
)
_REFERENCE = re.compile(r"^ {0,3}\[[^\]\n]+\]:\s*\S+.*$")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(?P<title>.*?)\s*#*\s*$")
_BULLET = re.compile(r"^(?P<indent>\s*)[-*+]\s+(?:\[(?P<done>[ xX])\]\s+)?")
_RULE = re.compile(r"^ {0,3}([-*_])(?:\s*\1){2,}\s*$")
_BOLD = re.compile(r"(\*\*|__)(?=\S)(?P<inner>.+?)(?<=\S)\1")
_STRIKE = re.compile(r"~~(?=\S)(?P<inner>.+?)(?<=\S)~~")
_STAR_ITALIC = re.compile(r"(?<![\w*])\*(?=[^\s*])(?P<inner>[^*\n]+?)(?<=[^\s*])\*(?![\w*])")
# Enough of a report to find its first words in.
_FIRST_WORDS_SEARCH_LIMIT = 2000
_EMPHASIS = re.compile(r"[*_`~#]+")


class _Line(NamedTuple):
    text: str
    is_code: bool
    is_fence: bool = False


def safe_markdown(text: str, limit: int) -> str:
    """Markdown for a markdown block: at most `limit` characters, fences closed.

    Links and images become their text followed by their address, so that nobody clicks
    on one thing and gets another.
    """
    return _fitted(text, limit, _safe)


def is_clipped(text: str, limit: int) -> bool:
    """Whether `safe_markdown` leaves something out."""
    body = clean(text).strip()
    return len(body) > limit or len(_safe(body)) > limit


def to_mrkdwn(text: str, limit: int) -> str:
    """The same words in mrkdwn, at most `limit` characters: for places without Markdown."""
    return _fitted(text, limit, _translated)


def first_words(text: str, limit: int) -> str:
    """The first sentence-like line of a report, unmarked and escaped: for one line."""
    for line in _lines(clip(clean(text), _FIRST_WORDS_SEARCH_LIMIT)):
        if line.is_code or line.is_fence or _HEADING.match(line.text) or _RULE.match(line.text):
            continue
        words = _EMPHASIS.sub("", _BULLET.sub("", _without_links(line.text))).strip()
        if words:
            return escape(" ".join(words.split()), limit)
    return ""


def _fitted(text: str, limit: int, make: Callable[[str], str]) -> str:
    """What `make` makes of as much of the text as fits; what it makes may be longer."""
    body = clean(text).strip()
    room = limit
    made = make(clip(body, room))
    while len(made) > limit and room > 0:
        room = min(room - 1, room * limit // len(made))
        made = make(clip(body, room))
    return made


def _lines(text: str) -> Iterator[_Line]:
    """Lines with whether they are code; an open fence at the end is closed."""
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            closes = (
                found is not None and found["fence"].startswith(fence) and not found["info"].strip()
            )
            if closes:
                fence = ""
                yield _Line("```", is_code=True, is_fence=True)
            else:
                yield _Line(line, is_code=True)
        elif found is not None and "`" not in found["info"]:
            fence = found["fence"]
            yield _Line("```", is_code=True, is_fence=True)
        else:
            yield _Line(line, is_code=False)
    if fence:
        yield _Line("```", is_code=True, is_fence=True)


def _spans(line: str) -> Iterator[tuple[str, bool]]:
    """Parts of a line, with whether each is inline code."""
    end = 0
    for span in _CODE_SPAN.finditer(line):
        yield line[end : span.start()], False
        yield span[0], True
        end = span.end()
    yield line[end:], False


def _safe(text: str) -> str:
    return "\n".join(_safe_line(line) for line in _lines(text))


def _safe_line(line: _Line) -> str:
    if line.is_fence:
        return line.text
    if line.is_code:
        return _code_line(line.text)
    if _REFERENCE.match(line.text):
        # A link's address given apart would turn `[text]` elsewhere into a link.
        return _safe_words("\\" + line.text.lstrip())
    return "".join(
        _break_markup(part) if is_code else _safe_words(_without_links(part))
        for part, is_code in _spans(line.text)
    )


def _code_line(text: str) -> str:
    # A longer fence around it allowed three backticks inside; ours does not.
    return _break_markup(text.replace("```", ZERO_WIDTH_SPACE.join("```")))


def _break_markup(text: str) -> str:
    return _ACTIVE_MARKUP.sub("<" + ZERO_WIDTH_SPACE, text)


def _safe_words(text: str) -> str:
    return _break_markup(text).replace("&", "&amp;").replace("<", "&lt;")


def _without_links(text: str) -> str:
    """Links as their text and address; what else could become one, as words."""
    while (plainer := _LINK.sub(_shown_link, text)) != text:
        text = plainer
    return text.replace("](", "]" + ZERO_WIDTH_SPACE + "(")


def _shown_link(link: re.Match[str]) -> str:
    text, target = link["text"].strip(), link["target"].strip("<>")
    if not target:
        return text
    return target if not text or text == target else f"{text} ({target})"


def _translated(text: str) -> str:
    return "\n".join(_mrkdwn_line(line) for line in _lines(text))


def _mrkdwn_line(line: _Line) -> str:
    if line.is_fence:
        return line.text
    if line.is_code:
        return escape(line.text.replace("```", ZERO_WIDTH_SPACE.join("```")))
    if _RULE.match(line.text):
        return ""
    heading = _HEADING.match(line.text)
    if heading is not None:
        title = _EMPHASIS.sub("", _without_links(heading["title"])).strip()
        return f"*{escape(title)}*" if title else ""
    return "".join(
        escape(part) if is_code else _mrkdwn_words(part)
        for part, is_code in _spans(_BULLET.sub(_bullet, line.text))
    )


def _bullet(found: re.Match[str]) -> str:
    done = found["done"]
    mark = "•" if done is None else "☐" if done == " " else "☑"
    return f"{found['indent']}{mark} "


def _mrkdwn_words(text: str) -> str:
    text = _without_links(text).replace("```", ZERO_WIDTH_SPACE.join("```"))
    # Bold first: its stars are parked, or they would be read as italics.
    text = _BOLD.sub("\x02\\g<inner>\x02", text)
    text = _STAR_ITALIC.sub("_\\g<inner>_", text)
    text = _STRIKE.sub("~\\g<inner>~", text)
    return "*".join(escape(part) for part in text.split("\x02"))
