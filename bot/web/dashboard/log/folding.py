"""What of a long text is shown at once, and what is behind a press."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.web.dashboard.filters import number, size
from bot.web.dashboard.log.ansi import Line, Span, plain

SHOWN_LINES = 12
LONG_CHARS = 1_000
_HEAD_CHARS = 160
_MIN_JSON_CHARS = 240
_BLOB_MIN = 160
# Letters of Base64, Base32 or hexadecimal digits without a space.
_BLOB = re.compile(r"[A-Za-z0-9+/=_-]{160,}")
_BLOB_LINE = re.compile(r"[A-Za-z0-9+/=_-]{56,}")
_MIN_BLOB_LINES = 4
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUMBER = re.compile(r"[-+.0-9eE]+")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Lines that are shown together.

    Attributes:
        label: What the press opens; empty for lines that are shown.
    """

    lines: Sequence[Line]
    label: str = ""


def fold(lines: Sequence[Line]) -> list[Piece]:
    """The pieces of a text.  Nothing is lost."""
    pieces = list(_joined(_folded_blobs(lines)))
    shown = 0
    for place, piece in enumerate(pieces):
        shown += 1 if piece.label else len(piece.lines)
        if shown > SHOWN_LINES:
            return _with_rest(pieces, place, shown - SHOWN_LINES)
    return pieces


def _with_rest(pieces: Sequence[Piece], place: int, surplus: int) -> list[Piece]:
    """Fold all that comes after the lines that are shown."""
    last = pieces[place]
    keep = 0 if last.label else len(last.lines) - surplus
    # To open one line takes as much room as the line.
    head = [*pieces[:place], *([Piece(lines=last.lines[:keep])] if keep else [])]
    rest = [*last.lines[keep:], *(line for piece in pieces[place + 1 :] for line in piece.lines)]
    if len(rest) == 1 and not last.label:
        return [*head, Piece(lines=rest)]
    return [*head, Piece(lines=rest, label=f"{number(len(rest))} more lines")]


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Shown lines that follow each other, as one piece."""
    lines: list[Line] = []
    for piece in pieces:
        if piece.label:
            if lines:
                yield Piece(lines=lines)
                lines = []
            yield piece
        else:
            lines.extend(piece.lines)
    if lines:
        yield Piece(lines=lines)


def _folded_blobs(lines: Sequence[Line]) -> Iterator[Piece]:
    place = 0
    while place < len(lines):
        end = place
        while end < len(lines) and _BLOB_LINE.fullmatch(plain(lines[end]).strip()):
            end += 1
        if end - place >= _MIN_BLOB_LINES:
            length = sum(len(plain(line)) for line in lines[place:end])
            yield Piece(lines=lines[place:end], label=f"encoded data · {size(length)}")
            place = end
            continue
        yield from _folded_line(lines[place])
        place += 1


def _folded_line(line: Line) -> Iterator[Piece]:
    text = plain(line)
    if len(text) < _BLOB_MIN:
        yield Piece(lines=[line])
        return
    written = _as_json(text)
    if written is not None:
        shown = [[Span(one)] for one in written.split("\n")]
        yield Piece(lines=shown, label=f"JSON · {size(len(text))}")
        return
    blob = _BLOB.search(text)
    if blob is not None:
        cut = min(blob.start(), _HEAD_CHARS)
        label = f"encoded data · {size(len(text) - cut)}"
    elif len(text) > LONG_CHARS:
        cut = _HEAD_CHARS
        label = f"long line · {size(len(text) - cut)}"
    else:
        yield Piece(lines=[line])
        return
    head, tail = _cut(line, cut)
    if head:
        yield Piece(lines=[head])
    yield Piece(lines=[tail], label=label)


def _as_json(text: str) -> str | None:
    """JSON that was written for programs, as people read it; `None` if it is none."""
    stripped = text.strip()
    if len(stripped) < _MIN_JSON_CHARS or stripped[0] not in "{[":
        return None
    try:
        value = json.loads(stripped, object_pairs_hook=_unique)
        written = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    # A number that is written in another way was perhaps not read exactly.
    is_same = _numbers(stripped) == _numbers(written)
    return written if is_same else None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose names differ.

    Raises:
        ValueError: If two of them are the same.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _numbers(text: str) -> list[str]:
    return _NUMBER.findall(_STRING.sub("", text))


def _cut(line: Line, length: int) -> tuple[list[Span], list[Span]]:
    """The first letters of a line, and the others."""
    head: list[Span] = []
    tail: list[Span] = []
    for span in line:
        text, style = span.text, span.style
        if text[:length]:
            head.append(Span(text[:length], style))
        if text[length:]:
            tail.append(Span(text[length:], style))
        length = max(length - len(text), 0)
    return head, tail
