"""The agent's Markdown, made safe for Slack's markdown block and translated to mrkdwn.

A CommonMark parser (with tables and strikethrough) finds the markup, and
`bot.slack.markdown_dialects` writes it again.  Text of an agent must not notify people
(`<!channel>`) or hide where a link leads.
"""

from collections.abc import Callable
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from bot.slack.markdown_dialects import MarkdownWriter, MrkdwnWriter
from bot.slack.markdown_writer import INLINE_TOKENS, Writer, plain_words
from bot.slack.text import escape, one_line
from bot.words.texts import clean, clip

# Characters of a report that are searched for its first words.
_FIRST_WORDS_SEARCH_LIMIT = 2000
# Limits the recursion of the parser and the writers.
_MAX_NESTING = 50


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802 - the library's name
        """Accept every address, so that every address is shown."""
        return True


# HTML stays text.  Without the rule `text_join` escaped characters remain separate tokens, so
# that the writers can escape them again.
_PARSER = (
    _Parser("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    .enable(["table", "strikethrough"])
    .disable("text_join")
)


def safe_markdown(text: str, limit: int) -> str:
    """Markdown for a markdown block: at most `limit` characters, all fences closed.

    A link or image, also by reference, becomes its text followed by its address, so that the
    reader sees where it leads.
    """
    return _fitted(text, limit, _safe)


def is_clipped(text: str, limit: int) -> bool:
    """Whether `safe_markdown` shortens the text."""
    body = clean(text).strip()
    return len(body) > limit or len(_safe(body)) > limit


def to_mrkdwn(text: str, limit: int) -> str:
    """The same text in mrkdwn, at most `limit` characters, for blocks without Markdown."""
    return _fitted(text, limit, lambda body: _written(body, MrkdwnWriter))


def first_words(text: str, limit: int) -> str:
    """The first line of prose of a report, without markup and escaped."""
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
    """Shorten the text until the result of `make`, which may be longer, fits the limit."""
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
    """Parse the text into blocks, and put the definitions of links into `found`.

    The parser drops blocks that are nested too deeply; for such a text the result is `None`.
    """
    tokens = _PARSER.parse(body, found)
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        return None
    for token in tokens:
        if token.type == "inline":
            token.meta[INLINE_TOKENS], token.children = token.children or [], None
    return SyntaxTreeNode(tokens)
