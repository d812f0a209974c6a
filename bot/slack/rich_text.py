"""The agent's Markdown as rich text, for code that no other language of Slack shows unchanged.

In Slack's Markdown and in mrkdwn some code has no safe form: a mention in code could still notify
people, entities could be decoded, backticks end the code.  Rich text is not parsed at all, so it
shows every character as it is, and a person copies exactly what the agent wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from bot.slack.markdown_writer import INLINE_TOKENS, InlineWriter
from bot.words.texts import clean

Element = dict[str, Any]

# The start of markup that Slack could act on: a mention, a channel, a command, a link.
ACTIVE_MARKUP = re.compile(r"(<|&lt;)(?=[!@#]|[a-z][a-z0-9+.-]*:)", re.IGNORECASE)
_ENTITY = re.compile(r"&#?\w+;")
_FENCE = "```"
_INDENT = "    "


def needs_rich_text(node: SyntaxTreeNode, *, is_mrkdwn: bool) -> bool:
    """Whether a block contains code that another language of Slack would not show unchanged."""
    is_awkward = _is_awkward_in_mrkdwn if is_mrkdwn else _is_awkward_in_markdown
    for each in node.walk():
        if each.type in {"fence", "code_block"}:
            # In mrkdwn the indentation of a list would become part of the code.
            is_nested = is_mrkdwn and each is not node
            if is_nested or is_awkward(each.content, is_inline=False):
                return True
        tokens = each.meta.get(INLINE_TOKENS, ()) if each.type == "inline" else ()
        codes = list(_codes(tokens))
        # In mrkdwn a heading is a bold line, in which nothing else is marked.
        if any(is_awkward(code, is_inline=True) for code in codes) or (
            codes and is_mrkdwn and node.type == "heading"
        ):
            return True
    return False


def character_count(elements: Sequence[Element]) -> int:
    """The number of visible characters."""
    return sum(
        len(element["text"]) if "text" in element else character_count(element["elements"])
        for element in elements
    )


class RichTextWriter(InlineWriter):
    """Writes blocks of Markdown as elements of a `rich_text` block; emphasis is left out."""

    marks: ClassVar[Mapping[str, str]] = {}

    def words(self, text: str) -> str:
        """The text itself."""
        return clean(text)

    def code(self, text: str) -> str:
        """The code itself."""
        return text

    def elements(self, node: SyntaxTreeNode, *, indent: int = 0, mark: str = "") -> list[Element]:
        """The elements for a block.

        Args:
            node: The block.
            indent: The depth of lists around it.
            mark: The bullet or number before its first line.
        """
        lead = _INDENT * indent + mark
        match node.type:
            case "fence" | "code_block":
                text = node.content.removesuffix("\n")
                # An element must not be empty.
                return [*_section(lead), _preformatted(text)] if text else _section(lead)
            case "heading":
                return _section(lead, [_bold(element) for element in self._inline(node)])
            case "paragraph":
                return _section(lead, self._inline(node))
            case "bullet_list" | "ordered_list":
                return [part for item in node.children for part in self._item(item, indent)]
            case "blockquote":
                return [part for child in node.children for part in self._quoted(child, indent)]
            case "table":
                return [part for row in _rows(node) for part in _section(lead, self._row(row))]
            case _:
                return []

    def _item(self, item: SyntaxTreeNode, indent: int) -> list[Element]:
        mark = f"{item.info}{item.markup} " if item.info else "• "
        if not item.children:
            return _section(_INDENT * indent + mark)
        first, *rest = item.children
        parts = self.elements(first, indent=indent, mark=mark)
        return [*parts, *(p for child in rest for p in self.elements(child, indent=indent + 1))]

    def _quoted(self, node: SyntaxTreeNode, indent: int) -> list[Element]:
        if node.type == "paragraph":
            return [{"type": "rich_text_quote", "elements": self._inline(node) or [_text(" ")]}]
        return self.elements(node, indent=indent)

    def _row(self, row: SyntaxTreeNode) -> list[Element]:
        cells = [part for cell in row.children for part in (*self._inline(cell), _text(" | "))]
        return [_text("| "), *cells]

    def _inline(self, node: SyntaxTreeNode) -> list[Element]:
        tokens = (token for inline in node.children for token in inline.meta[INLINE_TOKENS])
        return [
            {**_text(piece.text), "style": {"code": True}}
            if piece.is_code
            else _text(self.words(piece.text))
            for piece in self._pieces(tokens, self.marks)
            if piece.text and (piece.is_code or self.words(piece.text))
        ]


def _section(lead: str, inline: Sequence[Element] = ()) -> list[Element]:
    elements = [*([_text(lead)] if lead else []), *inline]
    return [{"type": "rich_text_section", "elements": elements}] if elements else []


def _preformatted(text: str) -> Element:
    return {"type": "rich_text_preformatted", "elements": [_text(text)]}


def _text(text: str) -> Element:
    return {"type": "text", "text": text}


def _bold(element: Element) -> Element:
    return {**element, "style": {**element.get("style", {}), "bold": True}}


def _rows(table: SyntaxTreeNode) -> Iterator[SyntaxTreeNode]:
    for part in table.children:
        yield from part.children


def _codes(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "code_inline":
            yield token.content
        yield from _codes(token.children or ())


def _is_awkward_in_markdown(code: str, *, is_inline: bool) -> bool:
    if ACTIVE_MARKUP.search(code) or _ENTITY.search(code):
        return True
    if is_inline:
        return "``" in code or code != code.strip(" `")
    return _FENCE in code or code.strip("\n") != code.removesuffix("\n")


def _is_awkward_in_mrkdwn(code: str, *, is_inline: bool) -> bool:
    if is_inline:
        return "`" in code or code != code.strip(" ")
    return _FENCE in code or code.strip("\n") != code.removesuffix("\n")
