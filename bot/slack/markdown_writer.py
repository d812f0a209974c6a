"""The writer of parsed Markdown: what is common to the languages of `markdown_dialects`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar, NamedTuple

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

# The `meta` key of a block's inline tokens.  They stay a flat list: they can be nested hundreds
# deep, too deep to recurse into.
INLINE_TOKENS = "inline_tokens"
# The box of a task, at the start of a list item.
TASK = re.compile(r"\[([ xX])\]\s+")
# Characters that a blank line may contain; `>` is the mark of a surrounding quote.
_QUOTE_MARKS = " \t>"


class _Piece(NamedTuple):
    text: str
    is_code: bool = False


class InlineWriter(ABC):
    """Writes the text of a single block.

    Attributes:
        marks: The marks of emphasis by HTML tag; an emphasis without an entry gets none.
    """

    marks: ClassVar[Mapping[str, str]]

    def __init__(self) -> None:
        self._shown_addresses: set[str] = set()

    @abstractmethod
    def words(self, text: str) -> str:
        """Text, made safe."""

    @abstractmethod
    def code(self, text: str) -> str:
        """Inline code, with its marks."""

    def special(self, token: Token) -> str:
        """A character that was escaped in the source, or an entity."""
        return token.content.replace("\n", " ")

    def inline(self, node: SyntaxTreeNode) -> str:
        """The text of a block, with the lines of the source."""
        return self._joined(self._pieces(_inline_tokens(node), self.marks))

    def unmarked(self, node: SyntaxTreeNode) -> str:
        """The text of a block without markup, on one line."""
        pieces = (_Piece(piece.text) for piece in self._pieces(_inline_tokens(node), {}))
        return " ".join(self._joined(pieces).split())

    def _joined(self, pieces: Iterable[_Piece]) -> str:
        return "".join(
            (self.code if is_code else self.words)("".join(piece.text for piece in group))
            for is_code, group in groupby(pieces, key=lambda piece: piece.is_code)
        )

    def _pieces(self, tokens: Iterable[Token], marks: Mapping[str, str]) -> list[_Piece]:
        """The parts of a text; an emphasis nested in the same emphasis gets no marks."""
        pieces: list[_Piece] = []
        depths: Counter[str] = Counter()
        # For each open link the position where its text begins, and its address.
        links: list[tuple[int, str]] = []
        for token in tokens:
            match token.type:
                case "softbreak" | "hardbreak":
                    pieces.append(_Piece("\n"))
                case "code_inline":
                    pieces.append(_Piece(token.content, is_code=True))
                case "text_special":
                    pieces.append(_Piece(self.special(token)))
                case "link_open":
                    links.append((len(pieces), str(token.attrs.get("href", ""))))
                case "link_close":
                    self._show_address(pieces, *links.pop())
                case "image":
                    start = len(pieces)
                    pieces += self._pieces(token.children or (), marks)
                    self._show_address(pieces, start, str(token.attrs.get("src", "")))
                case _ if token.tag in marks:
                    depths[token.tag] += token.nesting
                    if depths[token.tag] == max(token.nesting, 0):
                        pieces.append(_Piece(marks[token.tag]))
                case _:
                    pieces.append(_Piece(token.content))
        return pieces

    def _show_address(self, pieces: list[_Piece], start: int, address: str) -> None:
        """Add the address of a link or image after its text, unless the text is the address."""
        self._shown_addresses.add(address)
        text = "".join(piece.text for piece in pieces[start:]).strip()
        if not text:
            pieces[start:] = [_Piece(address)]
        elif address and text not in (address, address.removeprefix("mailto:")):
            pieces.append(_Piece(f" ({address})"))


class Writer(InlineWriter):
    """Writes a tree of Markdown; subclasses define what differs between the languages.

    Args:
        source: The lines that the tree was parsed from.
    """

    quote_mark: ClassVar[str]
    rule: ClassVar[str]
    cell_bar: ClassVar[str]

    def __init__(self, source: list[str]) -> None:
        super().__init__()
        self._source = source

    def text(self, nodes: Sequence[SyntaxTreeNode]) -> str:
        """Neighbouring blocks."""
        return "\n".join(self._blocks(nodes))

    def unused(self, definitions: Mapping[str, Any]) -> str:
        """The definitions that no link has used, as text."""
        return "\n\n".join(
            self.words(f"{label}: {definition['href']}")
            for label, definition in definitions.items()
            if str(definition["href"]) not in self._shown_addresses
        )

    @abstractmethod
    def code_lines(self, text: str) -> list[str]:
        """The lines of a code block."""

    @abstractmethod
    def heading(self, node: SyntaxTreeNode) -> str:
        """A heading, on one line."""

    @abstractmethod
    def item_mark(self, item: SyntaxTreeNode) -> str:
        """The start of a list item."""

    @abstractmethod
    def table_rule(self, cells: Iterable[SyntaxTreeNode]) -> list[str]:
        """The lines between the header and the rows of a table."""

    def _blocks(self, nodes: Sequence[SyntaxTreeNode]) -> list[str]:
        lines: list[str] = []
        before: SyntaxTreeNode | None = None
        for node in nodes:
            if before is not None and self._is_apart(before, node):
                lines.append("")
            lines += self._block(node)
            before = node
        return lines

    def _is_apart(self, before: SyntaxTreeNode, node: SyntaxTreeNode) -> bool:
        """Whether there is a blank line between two blocks; a list may include the one after it."""
        if before.map is None or node.map is None:
            return False
        gap = self._source[before.map[1] - 1 : node.map[0]]
        return any(not line.strip(_QUOTE_MARKS) for line in gap)

    def _block(self, node: SyntaxTreeNode) -> list[str]:
        match node.type:
            case "heading":
                return [self.heading(node)]
            case "paragraph":
                return self.inline(node).split("\n")
            case "bullet_list" | "ordered_list":
                return self._blocks(node.children)
            case "list_item":
                return self._item(node)
            case "blockquote":
                inner = self._blocks(node.children)
                return [f"{self.quote_mark} {line}" if line else self.quote_mark for line in inner]
            case "fence" | "code_block":
                return self.code_lines(node.content.removesuffix("\n"))
            case "table":
                return self._table(node)
            case _:
                return [self.rule]

    def _item(self, node: SyntaxTreeNode) -> list[str]:
        mark = self.item_mark(node)
        indent = " " * len(mark)
        first, *rest = self._blocks(node.children) or [""]
        # Spaces at the end of a line of code stay.
        return [(mark + first).rstrip(), *(indent + line if line else "" for line in rest)]

    def _table(self, node: SyntaxTreeNode) -> list[str]:
        lines: list[str] = []
        for part in node.children:
            for row in part.children:
                cells = (self.inline(cell).replace("|", self.cell_bar) for cell in row.children)
                lines.append(f"| {' | '.join(cells)} |")
            if part.type == "thead":
                lines += self.table_rule(part.children[0].children)
        return lines


def plain_words(node: SyntaxTreeNode) -> str:
    """The first non-empty line of a paragraph, without markup and not yet escaped."""
    writer = _PlainWriter()
    for line in writer.inline(node).split("\n"):
        task = TASK.match(line)
        words = " ".join(line[task.end() if task else 0 :].split())
        if words:
            return words
    return ""


class _PlainWriter(InlineWriter):
    """Writes text without markup; the caller escapes it."""

    marks: ClassVar[Mapping[str, str]] = {}

    def words(self, text: str) -> str:
        return text

    def code(self, text: str) -> str:
        return text


def _inline_tokens(block: SyntaxTreeNode) -> Iterator[Token]:
    """The inline parts of a heading, a paragraph or a cell."""
    for inline in block.children:
        yield from inline.meta[INLINE_TOKENS]
