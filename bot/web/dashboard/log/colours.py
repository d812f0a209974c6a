"""The colours of terminals on this page's backgrounds, with enough contrast to be read.

A program chooses its colours for a terminal that it does not know.  Here they are brought as close
to black or white as the background of the page needs, in light and in dark.
"""

from __future__ import annotations

from functools import lru_cache

Rgb = tuple[int, int, int]

# The backgrounds on which the log stands, as `00-base.css` has them.
LIGHT: Rgb = (255, 255, 255)
DARK: Rgb = (22, 27, 34)
# What WCAG 2 asks of text, and a little more.
_CONTRAST = 4.6
_STEPS = 20
# The sixteen colours, as xterm has them.
BASIC: tuple[Rgb, ...] = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
    (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
    (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
)  # fmt: skip
_CUBE = (0, 95, 135, 175, 215, 255)


def indexed(number: int) -> Rgb:
    """A colour of the palette of 256.

    Raises:
        ValueError: If it has no such number.
    """
    if not 0 <= number <= 255:
        raise ValueError(number)
    if number < 16:
        return BASIC[number]
    if number < 232:
        place = number - 16
        return _CUBE[place // 36], _CUBE[place // 6 % 6], _CUBE[place % 6]
    grey = 8 + 10 * (number - 232)
    return grey, grey, grey


def _channel(value: int) -> float:
    share = value / 255
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)


def luminance(colour: Rgb) -> float:
    """How bright a colour is, from 0 to 1, as WCAG has it."""
    red, green, blue = (_channel(one) for one in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast of two colours, from 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def readable(colour: Rgb, background: Rgb) -> Rgb:
    """The colour, or one of its hue that can be read on the background."""
    goal: Rgb = (0, 0, 0) if luminance(background) > 0.18 else (255, 255, 255)
    for step in range(_STEPS + 1):
        share = step / _STEPS
        mixed = tuple(round(a + (b - a) * share) for a, b in zip(colour, goal, strict=True))
        found: Rgb = (mixed[0], mixed[1], mixed[2])
        if contrast(found, background) >= _CONTRAST:
            return found
    return goal


def written(colour: Rgb) -> str:
    """As CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


@lru_cache(maxsize=2048)
def pair(colour: Rgb) -> str:
    """Its forms on the light and on the dark page, with a space between."""
    return f"{written(readable(colour, LIGHT))} {written(readable(colour, DARK))}"
