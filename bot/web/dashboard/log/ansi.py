"""What a terminal would show of a program's output: its colours, without its other commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bot.web.dashboard.log.colours import Rgb, indexed

# In this order: CSI, strings to the terminal (titles, links, images) with their end, other escapes.
_ESCAPE = re.compile(
    r"\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]?"
)
_OVERSTRUCK = re.compile("[^\b\x1b\n]\b")
# More than any program uses in a sequence.
_MAX_PARAMETERS = 32
# Programs that change the colour with each letter; beyond that the text goes on in one colour.
MAX_SPANS = 4_000
_SWITCHES: dict[int, dict[str, bool]] = {
    1: {"is_bold": True},
    2: {"is_dim": True},
    3: {"is_italic": True},
    4: {"is_underlined": True},
    7: {"is_inverse": True},
    9: {"is_struck": True},
    21: {"is_underlined": True},
    22: {"is_bold": False, "is_dim": False},
    23: {"is_italic": False},
    24: {"is_underlined": False},
    27: {"is_inverse": False},
    29: {"is_struck": False},
}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How letters look.

    Attributes:
        foreground: One of the sixteen colours, or any other; `None` is that of the page.
        background: The same.
    """

    foreground: int | Rgb | None = None
    background: int | Rgb | None = None
    is_bold: bool = False
    is_dim: bool = False
    is_italic: bool = False
    is_underlined: bool = False
    is_inverse: bool = False
    is_struck: bool = False


PLAIN = Style()


@dataclass(frozen=True)
class Span:
    """Letters that look alike."""

    text: str
    style: Style = PLAIN


Line = Sequence[Span]


def parse(text: str) -> list[Line]:
    """The lines that a terminal would show of an output."""
    lines: list[list[Span]] = [[]]
    for span in _spans(_overwritten(text)):
        first, *others = span.text.split("\n")
        if first:
            lines[-1].append(replace(span, text=first))
        lines.extend([replace(span, text=other)] if other else [] for other in others)
    return list(lines)


def without_escapes(text: str) -> str:
    """The text alone."""
    return _ESCAPE.sub("", text)


def plain(line: Line) -> str:
    """The text of a line."""
    return "".join(span.text for span in line)


def _spans(text: str) -> Iterator[Span]:
    style, start, count = PLAIN, 0, 0
    for found in _ESCAPE.finditer(text):
        if found.start() > start:
            count += 1
            yield Span(text[start : found.start()], style)
        start = found.end()
        if found["final"] == "m" and count < MAX_SPANS:
            style = _styled(style, found["parameters"])
    if start < len(text):
        yield Span(text[start:], style)


def _overwritten(text: str) -> str:
    """Without what a program wrote over: progress bars, and letters that were struck twice."""
    if "\b" in text:
        text = _OVERSTRUCK.sub("", text).replace("\b", "")
    text = text.replace("\r\n", "\n")
    if "\r" not in text:
        return text
    return "\n".join(_last_written(line) for line in text.split("\n"))


def _last_written(line: str) -> str:
    parts = line.split("\r")
    shown = next((part for part in reversed(parts) if without_escapes(part).strip()), parts[-1])
    # Colours that were begun in what is gone go on.
    gone = parts[: parts.index(shown)]
    kept = [one[0] for part in gone for one in _ESCAPE.finditer(part) if one["final"] == "m"]
    return "".join([*kept, shown])


def _styled(style: Style, parameters: str) -> Style:
    numbers = _numbers(parameters)
    place = 0
    while place < len(numbers):
        number = numbers[place]
        place += 1
        if number == 0:
            style = PLAIN
        elif number in _SWITCHES:
            style = replace(style, **_SWITCHES[number])
        elif number in (38, 48):
            colour, used = _extended(numbers[place:])
            place += used
            if colour is not None and number == 38:
                style = replace(style, foreground=colour)
            elif colour is not None:
                style = replace(style, background=colour)
        else:
            style = _basic(style, number)
    return style


def _numbers(parameters: str) -> list[int]:
    """The numbers of a sequence; one that is left out is 0."""
    found = []
    for part in parameters.replace(":", ";").split(";")[:_MAX_PARAMETERS]:
        if not part:
            found.append(0)
        elif part.isascii() and part.isdecimal() and len(part) <= 4:
            found.append(int(part))
        else:
            return []
    return found


def _basic(style: Style, number: int) -> Style:
    if number == 39:
        return replace(style, foreground=None)
    if number == 49:
        return replace(style, background=None)
    if 30 <= number <= 37:
        return replace(style, foreground=number - 30)
    if 90 <= number <= 97:
        return replace(style, foreground=number - 82)
    if 40 <= number <= 47:
        return replace(style, background=number - 40)
    if 100 <= number <= 107:
        return replace(style, background=number - 92)
    return style


def _extended(numbers: Sequence[int]) -> tuple[int | Rgb | None, int]:
    """A colour of 256 or of all, and how many numbers it took."""
    if len(numbers) >= 2 and numbers[0] == 5:
        number = numbers[1]
        if number < 16:
            return number, 2
        return (indexed(number) if number <= 255 else None), 2
    if len(numbers) >= 4 and numbers[0] == 2:
        red, green, blue = numbers[1:4]
        return ((red, green, blue) if max(red, green, blue) <= 255 else None), 4
    return None, len(numbers)
