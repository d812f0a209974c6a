"""The agent's Markdown, made safe for Slack's markdown block and translated to mrkdwn.

A parser of CommonMark (with tables and strikethrough) says what is markup, and
`bot.slack.markdown_dialects` writes it anew.  Nothing an agent writes may call people
(`<!channel>`), or hide where a link leads.
"""

from collections.abc import Callable
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from bot.slack.markdown_dialects import MarkdownWriter, MrkdwnWriter
from bot.slack.markdown_writer import INLINE_TOKENS, Writer, plain_words
from bot.slack.text import escape, one_line
from bot.words.texts import clean, clip

# Enough of a report to find its first words in.
_FIRST_WORDS_SEARCH_LIMIT = 2000
# The parser and the writers are recursive.
_MAX_NESTING = 50


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802 - the library's name
        """Take every address for one, so that every address is shown."""
        return True


# HTML stays text.  Without the rule `text_join` escaped characters stay apart, so that the
# writers can escape them again.
_PARSER = (
    _Parser("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    .enable(["table", "strikethrough"])
    .disable("text_join")
)


def safe_markdown(text: str, limit: int) -> str:
    """Markdown for a markdown block: at most `limit` characters, fences closed.

    Links and images, also those by reference, become their text followed by their address,
    so that nobody clicks on one thing and gets another.
    """
    return _fitted(text, limit, _safe)


def is_clipped(text: str, limit: int) -> bool:
    """Whether `safe_markdown` leaves something out."""
    body = clean(text).strip()
    return len(body) > limit or len(_safe(body)) > limit


def to_mrkdwn(text: str, limit: int) -> str:
    """The same words in mrkdwn, at most `limit` characters: for places without Markdown."""
    return _fitted(text, limit, lambda body: _written(body, MrkdwnWriter))


def first_words(text: str, limit: int) -> str:
    """The first sentence-like line of a report, unmarked and escaped: for one line."""
    body = clip(clean(text), _FIRST_WORDS_SEARCH_LIMIT)
    root = _parse(body, {})
    if root is None:
        return one_line(body, limit)
    for paragraph in (node for node in root.walk() if node.type == "paragraph"):
        words = plain_words(paragraph)
        if words:
            return escape(words, limit)
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


def _safe(body: str) -> str:
    return _written(body, MarkdownWriter)


def _written(body: str, new_writer: Callable[[list[str]], Writer]) -> str:
    found: dict[str, Any] = {}
    root = _parse(body, found)
    writer = new_writer(body.split("\n"))
    if root is None:
        return writer.words(body)
    return writer.document(root, found.get("references", {})) or writer.words(body)


def _parse(body: str, found: dict[str, Any]) -> SyntaxTreeNode | None:
    """The text's blocks; the definitions of links go to `found`.

    The parser leaves out what is nested too deeply; for such a text there is no tree.
    """
    tokens = _PARSER.parse(body, found)
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        return None
    for token in tokens:
        if token.type == "inline":
            token.meta[INLINE_TOKENS], token.children = token.children or [], None
    return SyntaxTreeNode(tokens)
