"""The two languages in which Slack accepts a report: safe Markdown, and mrkdwn.

Slack does not document what its own markup (`<!channel>`, `<@U1>`, `<https://…>`) does inside a
markdown block.  So there it is both broken up by an invisible character and escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from bot.slack.markdown_writer import TASK, Writer
from bot.slack.rich_text import ACTIVE_MARKUP
from bot.slack.text import ZERO_WIDTH_SPACE, escape, without_fence_marks
from bot.words.texts import clean

# A bracket that another parser could take for a link or for the definition of one.
_LINK_SYNTAX = re.compile(r"\](?=[(\[:])")
_FENCE = "```"
_TILDES, _BROKEN_TILDES = "~~~", ZERO_WIDTH_SPACE.join("~~~")
_ALIGNMENTS = {"text-align:left": ":--", "text-align:center": ":-:", "text-align:right": "--:"}


class MarkdownWriter(Writer):
    """Writes Markdown for a markdown block."""

    marks: ClassVar[Mapping[str, str]] = {"em": "*", "strong": "**", "s": "~~"}
    # `***`, because `---` would turn the line above into a heading.
    quote_mark, rule, cell_bar = ">", "***", r"\|"

    def words(self, text: str) -> str:
        """Text without active markup, in which no bracket becomes a link."""
        text = _LINK_SYNTAX.sub("]" + ZERO_WIDTH_SPACE, clean(text))
        text = without_fence_marks(text).replace(_TILDES, _BROKEN_TILDES)
        return _break_markup(text).replace("&", "&amp;").replace("<", "&lt;")

    def code(self, text: str) -> str:
        """Inline code, unchanged; `needs_rich_text` keeps away what cannot be written here."""
        fence = "``" if "`" in text else "`"
        return f"{fence}{text}{fence}"

    def code_lines(self, text: str) -> list[str]:
        """A fenced block, unchanged; `needs_rich_text` keeps away what cannot be written here."""
        return [_FENCE, *text.split("\n"), _FENCE]

    def heading(self, node: SyntaxTreeNode) -> str:
        """A heading of the same level."""
        return f"{'#' * int(node.tag[1:])} {self.inline(node)}".replace("\n", " ").rstrip()

    def item_mark(self, item: SyntaxTreeNode) -> str:
        """The mark or number that the item has in the source."""
        return f"{item.info}{item.markup} "

    def table_rule(self, cells: Iterable[SyntaxTreeNode]) -> list[str]:
        """The line between header and rows that makes them a table."""
        rules = (_ALIGNMENTS.get(str(cell.attrs.get("style", "")), "---") for cell in cells)
        return [f"|{'|'.join(rules)}|"]

    def special(self, token: Token) -> str:
        """Keep a backslash escape, except for `<` and `&`, which become entities."""
        is_escaped = token.info == "escape" and token.content not in {"<", "&"}
        return token.markup if is_escaped else super().special(token)


class MrkdwnWriter(Writer):
    """Writes Slack's mrkdwn."""

    marks: ClassVar[Mapping[str, str]] = {"em": "_", "strong": "*", "s": "~"}
    # At the start of a line Slack reads the escaped character as a quote too.
    quote_mark, rule, cell_bar = "&gt;", "", "|"

    def words(self, text: str) -> str:
        """Escaped text in which no fence opens a code block."""
        return escape(without_fence_marks(text))

    def code(self, text: str) -> str:
        """Inline code, unchanged; `needs_rich_text` keeps away what cannot be written here."""
        return f"`{escape(text)}`"

    def code_lines(self, text: str) -> list[str]:
        """A code block, unchanged; `needs_rich_text` keeps away what cannot be written here."""
        return [_FENCE, *escape(text).split("\n"), _FENCE]

    def heading(self, node: SyntaxTreeNode) -> str:
        """A bold line: mrkdwn has no headings."""
        title = self.unmarked(node)
        return f"*{title}*" if title else ""

    def item_mark(self, item: SyntaxTreeNode) -> str:
        """A bullet, or the item's number; a task gets a box in addition."""
        return f"{item.info}{item.markup} " if item.info else "• "

    def table_rule(self, cells: Iterable[SyntaxTreeNode]) -> list[str]:  # noqa: ARG002
        """Nothing: mrkdwn has no tables."""
        return []

    def _item(self, node: SyntaxTreeNode) -> list[str]:
        first, *rest = super()._item(node)
        mark = self.item_mark(node)
        task = TASK.match(first, len(mark))
        if task is not None:
            box = "☐" if task[1] == " " else "☑"
            first = f"{box if mark == '• ' else mark + box} {first[task.end() :]}"
        return [first, *rest]


def _break_markup(text: str) -> str:
    return ACTIVE_MARKUP.sub(r"\1" + ZERO_WIDTH_SPACE, text)
