"""Tables of plain text for a terminal or a pipe: aligned, and no wider than asked for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from bot.words.texts import ELLIPSIS, clean

_GAP = "  "
# Terminals take these as commands, too; `clean` removes the others.
_CONTROLS = re.compile("[\x80-\x9f]")
_TAB_CELLS = 4
# Letters of these classes of Unicode take two cells of a terminal.
_WIDE = frozenset({"W", "F"})
# Combining marks, and characters that only format others, take none.
_NO_CELLS = frozenset({"Mn", "Me", "Cf"})


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        most: The cells that it takes at most; `None` for what the others leave.
    """

    title: str
    most: int | None


def table_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int
) -> list[str]:
    """Lines with the titles and the rows, no line wider than `width` cells.

    Exactly one column has no `most`; it gets what the others leave, at least as much as its title
    needs.
    """
    cells = [[one_line(text) for text in row] for row in rows]
    widths = [
        max([cell_width(column.title), *(cell_width(row[index]) for row in cells)])
        if column.most is None
        else min(
            max([cell_width(column.title), *(cell_width(row[index]) for row in cells)]),
            max(column.most, cell_width(column.title)),
        )
        for index, column in enumerate(columns)
    ]
    open_index = next(index for index, column in enumerate(columns) if column.most is None)
    taken = sum(widths) - widths[open_index] + len(_GAP) * (len(columns) - 1)
    left = max(width - taken, cell_width(columns[open_index].title))
    widths[open_index] = min(widths[open_index], left)
    titles = [column.title for column in columns]
    return [_line(row, widths) for row in [titles, *cells]]


def pair_lines(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of labels and values, the values aligned; without a value there is no line."""
    shown = [(label, one_line(value)) for label, value in pairs if value.strip()]
    width = max((cell_width(label) for label, _ in shown), default=0)
    return [f"{pad(label, width)}{_GAP}{value}" for label, value in shown]


def one_line(text: str) -> str:
    """A text of people or programs on one line, without what a terminal would obey."""
    return " ".join(safe_text(text).split())


def safe_text(text: str) -> str:
    """A text of people or programs with its lines, without what a terminal would obey."""
    return _CONTROLS.sub("", clean(text)).replace("\t", " " * _TAB_CELLS)


def cell_width(text: str) -> int:
    """The cells of a terminal that a text takes."""
    return sum(map(_cells, text))


def fit(text: str, width: int) -> str:
    """A text of at most `width` cells, with an ellipsis if it had more."""
    if cell_width(text) <= width:
        return text
    left = width - 1
    shown = ""
    for character in text:
        left -= _cells(character)
        if left < 0:
            break
        shown += character
    return f"{shown.rstrip()}{ELLIPSIS}" if width > 0 else ""


def pad(text: str, width: int) -> str:
    """A text with spaces up to `width` cells."""
    return text + " " * max(width - cell_width(text), 0)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (pad(fit(text, width), width) for text, width in zip(row, widths, strict=True))
    return _GAP.join(cells).rstrip()


def _cells(character: str) -> int:
    if unicodedata.category(character) in _NO_CELLS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
