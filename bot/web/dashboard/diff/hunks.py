"""The lines of a file's hunks, with their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as UnidiffHunk
from unidiff.patch import PatchSet

_NO_NEWLINE = "\\"
_HEAD = "--- a/file\n+++ b/file\n"


class Sign(StrEnum):
    """What became of a line; the values are as a patch has them."""

    ADDED = "+"
    REMOVED = "-"
    SAME = " "


@dataclass(frozen=True)
class DiffLine:
    """A line of a hunk.

    Attributes:
        old: Its number at the start; `None` of an added one.
        new: Its number at the end; `None` of a removed one.
        has_newline: Whether a line break follows it in the file.
    """

    sign: Sign
    text: str
    old: int | None = None
    new: int | None = None
    has_newline: bool = True


@dataclass(frozen=True, kw_only=True)
class Hunk:
    """Lines that follow each other.

    Attributes:
        section: What git found before them: the function or the heading.
    """

    old_start: int
    old_length: int
    new_start: int
    new_length: int
    section: str
    lines: Sequence[DiffLine]


@dataclass(frozen=True, kw_only=True)
class Hunks:
    """The hunks of a file.

    Attributes:
        raw: What could not be read as hunks; shown as it is.
    """

    hunks: Sequence[Hunk] = ()
    raw: str = ""


def read_hunks(body: str) -> Hunks:
    """Read the hunks of a file.  It never fails."""
    if not body:
        return Hunks()
    # Between lines a patch has "\n" and nothing else, whatever a file has within its lines.
    try:
        parsed = PatchSet(_lines(_HEAD + body))
    except (UnidiffParseError, ValueError, IndexError, AttributeError):
        return Hunks(raw=body)
    if len(parsed) != 1 or not parsed[0]:
        return Hunks(raw=body)
    return Hunks(hunks=[_hunk(one) for one in parsed[0]])


def _lines(text: str) -> Iterator[str]:
    for line in text.removesuffix("\n").split("\n"):
        yield f"{line}\n"


def _hunk(hunk: UnidiffHunk) -> Hunk:
    lines: list[DiffLine] = []
    for one in hunk:
        if one.line_type == _NO_NEWLINE:
            if lines:
                last = lines[-1]
                lines[-1] = DiffLine(last.sign, last.text, last.old, last.new, has_newline=False)
            continue
        sign = Sign(one.line_type) if one.line_type in ("+", "-") else Sign.SAME
        text = one.value.removesuffix("\n")
        lines.append(DiffLine(sign, text, one.source_line_no, one.target_line_no))
    return Hunk(
        old_start=hunk.source_start,
        old_length=hunk.source_length,
        new_start=hunk.target_start,
        new_length=hunk.target_length,
        section=hunk.section_header.strip(),
        lines=lines,
    )
