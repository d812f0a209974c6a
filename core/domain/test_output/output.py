"""A program's output as plain lines: without colours and progress bars, and bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

# An output may have megabytes.  What test programs sum up is at its end; some sum up each package
# or binary where it ends, so that the beginning counts, too.
_MAX_HEAD_CHARS = 100_000
_MAX_TAIL_CHARS = 300_000
# Lines of summaries are short.  With this limit no pattern takes long.
_MAX_LINE_CHARS = 1_000
# Colours and cursor movements; titles of terminals and links.
_ESCAPES = re.compile(
    "\x1b(?:\\[[0-?]{0,40}[ -/]{0,4}[@-~]|\\][^\x07\x1b]{0,400}(?:\x07|\x1b\\\\)|[@-Z\\\\^_=>])"
)
# How the agent program marks what it leaves out, and how Signalbox does.
_CUT = re.compile(
    r"^(?:\.\.\. \[\d{1,9} (?:lines|characters) truncated\] \.\.\."
    r"|… \(\d{1,9} more characters\)"
    r"|\[?\.{3} ?\d{1,9} lines (?:omitted|truncated).{0,20}"
    r"|<persisted-output>)$"
)


@dataclass(frozen=True)
class Output:
    """The lines of an output.

    Attributes:
        text: The output without colours, with progress bars.
        is_cut: Whether a part is missing.
    """

    text: str
    lines: tuple[str, ...]
    is_cut: bool = False

    @cached_property
    def filled(self) -> tuple[str, ...]:
        """The lines that are not empty."""
        return tuple(line for line in self.lines if line)

    def matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """The matches of the pattern with whole lines, in order."""
        return (found for line in self.filled if (found := pattern.fullmatch(line)) is not None)

    def count(self, pattern: re.Pattern[str]) -> int:
        """The number of lines that match the pattern as a whole."""
        return sum(1 for _ in self.matches(pattern))


def read_output(text: str) -> Output:
    """Split an output into lines.  Takes linear time; of long outputs the middle is left out."""
    is_cut = len(text) > _MAX_HEAD_CHARS + _MAX_TAIL_CHARS
    if is_cut:
        text = f"{text[:_MAX_HEAD_CHARS]}\n{text[-_MAX_TAIL_CHARS:]}"
    plain = _ESCAPES.sub("", text) if "\x1b" in text else text
    lines = tuple(_line(line) for line in plain.split("\n"))
    return Output(plain, lines, is_cut or any(_CUT.match(line) for line in lines))


def _line(line: str) -> str:
    """The line as a terminal shows it at the end: what follows the last return to its start."""
    shown = line.rstrip()
    if "\r" in shown:
        shown = shown.rpartition("\r")[2]
    return shown[:_MAX_LINE_CHARS]
