"""The agent's Markdown, made safe for Slack's markdown block and translated to mrkdwn.

A CommonMark parser (with tables and strikethrough) finds the markup, and
`bot.slack.markdown_dialects` writes it again.  Text of an agent must not notify people
(`<!channel>`) or hide where a link leads.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from bot.slack.markdown_dialects import MarkdownWriter, MrkdwnWriter
from bot.slack.markdown_writer import INLINE_TOKENS, Writer, plain_words
from bot.slack.rich_text import Element, RichTextWriter, character_count, needs_rich_text
from bot.slack.text import escape, one_line
from bot.slack.views import blocks
from bot.slack.views.message import Block
from bot.words.texts import clean, clip

# Characters of a report that are searched for its first words.
_FIRST_WORDS_SEARCH_LIMIT = 2000
# Limits the recursion of the parser and the writers.
_MAX_NESTING = 50


# Text in the language of the writer, or the elements of a rich text.
Part = str | list[Element]
NewWriter = Callable[[list[str]], Writer]


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


def report_blocks(text: str, limit: int) -> list[Block]:
    """A report as blocks: safe Markdown, and rich text for code that Markdown would change.

    Together they have at most `limit` characters, and all fences are closed.  A link or image,
    also by reference, becomes its text followed by its address, so that the reader sees where it
    leads.
    """
    return [
        blocks.markdown(part) if isinstance(part, str) else blocks.rich_text(part)
        for part in _fitted(text, limit, MarkdownWriter)
    ]


def mrkdwn_blocks(text: str, limit: int) -> list[Block]:
    """The same in mrkdwn and rich text, where Slack takes no Markdown."""
    return [
        blocks.section(part) if isinstance(part, str) else blocks.rich_text(part)
        for part in _fitted(text, limit, MrkdwnWriter)
    ]


def is_clipped(text: str, limit: int) -> bool:
    """Whether `report_blocks` shortens the text."""
    body = clean(text).strip()
    return len(body) > limit or _size(_parts(body, MarkdownWriter)) > limit


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


def _fitted(text: str, limit: int, new_writer: NewWriter) -> list[Part]:
    """Shorten the text until its parts, which may be longer, fit the limit."""
    body = clean(text).strip()
    room = limit
    parts = _parts(clip(body, room), new_writer)
    while _size(parts) > limit and room > 0:
        room = min(room - 1, room * limit // _size(parts))
        parts = _parts(clip(body, room), new_writer)
    return parts


def _size(parts: Sequence[Part]) -> int:
    return sum(len(part) if isinstance(part, str) else character_count(part) for part in parts)


def _parts(body: str, new_writer: NewWriter) -> list[Part]:
    """The parts of a text, without empty ones."""
    found: dict[str, Any] = {}
    root = _parse(body, found)
    writer = new_writer(body.split("\n"))
    if root is None:
        return [part for part in [writer.words(body)] if part]
    rich = RichTextWriter()
    parts: list[Part] = []
    for is_rich, group in groupby(
        root.children,
        key=lambda node: needs_rich_text(node, is_mrkdwn=new_writer is MrkdwnWriter),
    ):
        nodes = list(group)
        if is_rich:
            parts.append([element for node in nodes for element in rich.elements(node)])
        else:
            parts.append(writer.text(nodes))
    rest = writer.unused(found.get("references", {}))
    if rest and parts and isinstance(parts[-1], str):
        parts[-1] = f"{parts[-1]}\n\n{rest}"
    else:
        parts.append(rest)
    written = [part for part in parts if part]
    # Nothing but definitions that are all used, for example.
    return written or [part for part in [writer.words(body)] if part]


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
