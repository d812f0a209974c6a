"""Lines of a diff as a page shows them: in one column or in two, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from markupsafe import Markup

from bot.web.dashboard.diff.colouring import Clock, Coloured, coloured, lexer_for
from bot.web.dashboard.diff.hunks import DiffLine, Hunk, Sign, read_hunks
from bot.web.dashboard.diff.patch_files import PatchFile
from bot.web.dashboard.diff.word_marks import Budget, Range, marked
from bot.web.dashboard.filters import size
from bot.web.dashboard.log.marks import visible

LINES_AT_A_TIME = 1_000
_MAX_LINE_CHARS = 1_000
_MAX_RAW_CHARS = 200_000


class DiffView(StrEnum):
    """How lines stand on the page."""

    UNIFIED = "unified"
    SPLIT = "split"


@dataclass(frozen=True, kw_only=True)
class ShownLine:
    """A line.

    Attributes:
        anchor: The end of the address that leads to it: `o` or `n` and its number.
    """

    sign: Sign
    old: int | None
    new: int | None
    html: Markup
    has_newline: bool

    @property
    def anchor(self) -> str:
        """See `Attributes`."""
        return f"o{self.old}" if self.new is None else f"n{self.new}"


# The line at the start and that at the end, beside each other.
Pair = tuple[ShownLine | None, ShownLine | None]


@dataclass(frozen=True, kw_only=True)
class ShownHunk:
    """A hunk, or the rest of one.

    Attributes:
        head: What stands before it; empty before the rest of one.
        number: Of the hunks of its file, from 1.
        pairs: The same lines for two columns; empty if they are shown in one.
    """

    head: str
    number: int
    lines: Sequence[ShownLine]
    pairs: Sequence[Pair]


@dataclass(frozen=True, kw_only=True)
class ShownFile:
    """Some lines of a file.

    Attributes:
        raw: What is no valid diff, as it is.
        next: The place from which the following lines begin; `None` if there are none.
        left: How many follow.
    """

    hunks: Sequence[ShownHunk]
    raw: Markup | None = None
    next: int | None = None
    left: int = 0


def shown_file(
    file: PatchFile,
    view: DiffView,
    *,
    start: int = 0,
    limit: int = LINES_AT_A_TIME,
    clock: Clock | None = None,
) -> ShownFile:
    """Some lines of a file, with their colours.  It never fails, and takes a bounded time."""
    read = read_hunks(file.body)
    if read.raw:
        cut = len(read.raw) - _MAX_RAW_CHARS
        rest = f"\n… {size(cut)} more" if cut > 0 else ""
        return ShownFile(hunks=(), raw=visible_lines(f"{read.raw[:_MAX_RAW_CHARS]}{rest}"))
    clock, budget = clock or Clock(), Budget()
    lexer = lexer_for(file.path)
    total = sum(len(hunk.lines) for hunk in read.hunks)
    shown: list[ShownHunk] = []
    before = 0
    for number, hunk in enumerate(read.hunks, 1):
        first, last = max(start - before, 0), min(start + limit - before, len(hunk.lines))
        before += len(hunk.lines)
        if first >= last:
            continue
        lines = _without_returns(hunk.lines[first:last])
        drawn = _drawn(lines, coloured(lines, lexer, clock), marked(lines, budget))
        pairs = list(_pairs(drawn)) if view is DiffView.SPLIT else []
        head = "" if first else _head(hunk)
        shown.append(ShownHunk(head=head, number=number, lines=drawn, pairs=pairs))
    left = max(total - start - limit, 0)
    return ShownFile(hunks=shown, next=start + limit if left else None, left=left)


def visible_lines(text: str) -> Markup:
    """A text of several lines, each bounded."""
    return Markup("\n").join(visible(line[:_MAX_LINE_CHARS]) for line in text.split("\n"))


def _head(hunk: Hunk) -> str:
    places = f"@@ −{hunk.old_start},{hunk.old_length} +{hunk.new_start},{hunk.new_length} @@"
    return f"{places} {hunk.section[:200]}".rstrip()


def _without_returns(lines: Sequence[DiffLine]) -> Sequence[DiffLine]:
    """In a file whose lines all end with a carriage return too, that says nothing."""
    if not all(line.text.endswith("\r") for line in lines if line.has_newline):
        return lines
    return [
        DiffLine(one.sign, one.text.removesuffix("\r"), one.old, one.new, one.has_newline)
        for one in lines
    ]


def _drawn(
    lines: Sequence[DiffLine],
    colours: Mapping[int, Sequence[Coloured]],
    marks: Mapping[int, Sequence[Range]],
) -> list[ShownLine]:
    return [
        ShownLine(
            sign=line.sign,
            old=line.old,
            new=line.new,
            html=code_html(line.text, colours.get(place, ()), marks.get(place, ())),
            has_newline=line.has_newline,
        )
        for place, line in enumerate(lines)
    ]


def code_html(text: str, colours: Sequence[Coloured], marks: Sequence[Range]) -> Markup:
    """A line as HTML: parts with colours, and parts that differ from the other line."""
    surplus = len(text) - _MAX_LINE_CHARS
    text = text[:_MAX_LINE_CHARS]
    if not colours and not marks:
        html = visible(text)
    else:
        html = Markup("").join(_parts(text, colours, marks))
    if surplus > 0:
        html += Markup('<span class="cut">… {} more</span>').format(size(surplus))
    return html


def _parts(text: str, colours: Sequence[Coloured], marks: Sequence[Range]) -> Iterator[Markup]:
    edges = {0, len(text)}
    ranges = [*marks, *((start, end) for start, end, _ in colours)]
    for start, end in ranges:
        edges |= {min(start, len(text)), min(end, len(text))}
    places = sorted(edges)
    names = {start: (end, name) for start, end, name in colours}
    name, name_end = "", 0
    for start, end in pairwise(places):
        if start in names:
            name_end, name = names[start]
        elif start >= name_end:
            name = ""
        part = visible(text[start:end])
        if name:
            part = Markup('<span class="{}">{}</span>').format(name, part)
        if any(low <= start and end <= high for low, high in marks):
            part = Markup("<mark>{}</mark>").format(part)
        yield part


def _pairs(lines: Sequence[ShownLine]) -> Iterator[Pair]:
    place = 0
    while place < len(lines):
        if lines[place].sign is Sign.SAME:
            yield lines[place], lines[place]
            place += 1
            continue
        middle = place
        while middle < len(lines) and lines[middle].sign is Sign.REMOVED:
            middle += 1
        end = middle
        while end < len(lines) and lines[end].sign is Sign.ADDED:
            end += 1
        removed, added = lines[place:middle], lines[middle:end]
        for at in range(max(len(removed), len(added))):
            yield (
                removed[at] if at < len(removed) else None,
                added[at] if at < len(added) else None,
            )
        place = end
