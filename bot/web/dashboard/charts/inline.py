"""The shapes of small charts that are drawn within the HTML: sparklines and horizontal bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

# Of a sparkline, in the units of its `viewBox`; the margin leaves room for the line's width.
WIDTH, HEIGHT, _MARGIN = 120, 28, 2
# More values than this cannot be told apart; of neighbours the largest one is drawn.
MOST_POINTS = 120
_PERCENT = 100

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Sparkline:
    """A series of values as shapes.

    Attributes:
        line: The data of an SVG path; unknown values are gaps in it.
        area: What lies below the line.
        last: Where the newest known value is.
    """

    line: str
    area: str
    last: Point


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A row of horizontal bars.

    Attributes:
        label: What it is about; text from anywhere.
        value: Its length compared with the others; `None` if it is unknown, which is no bar.
        words: The value as people read it; empty if it is unknown.
        href: Where the label leads.
        tone: The state whose colour it has, as in `tones.py`; the accent without one.
    """

    label: str
    value: float | None
    words: str
    href: str | None = None
    tone: str | None = None


def sparkline_of(values: Iterable[float | None], most: float | None = None) -> Sparkline | None:
    """The shapes of a series, oldest value first; `None` if no value is known.  Pure.

    Args:
        values: None of them negative; what is unknown or not finite is a gap.
        most: What reaches the upper edge, unless a value is larger still.
    """
    known = _thinned([one if one is not None and math.isfinite(one) else None for one in values])
    points = _points(known, most)
    runs = [
        [point for point in found if point is not None]
        for is_known, found in groupby(points, key=lambda point: point is not None)
        if is_known
    ]
    if not runs:
        return None
    return Sparkline(
        line=" ".join(_line(run) for run in runs),
        area=" ".join(
            f"{_line(run)} V{HEIGHT} H{_short(run[0][0])} Z" for run in runs if len(run) > 1
        ),
        last=runs[-1][-1],
    )


def with_bar_lengths(rows: Sequence[Bar]) -> list[tuple[Bar, str | None]]:
    """Each row with its bar's length from 0 to 100, the largest one being 100.

    Unknown values have none.
    """
    most = max((row.value for row in rows if row.value is not None), default=0.0)
    return [
        (row, None if row.value is None else _short(_PERCENT * row.value / most if most else 0.0))
        for row in rows
    ]


def _thinned(values: Sequence[float | None]) -> list[float | None]:
    if len(values) <= MOST_POINTS:
        return list(values)
    edges = [len(values) * number // MOST_POINTS for number in range(MOST_POINTS + 1)]
    return [
        max((one for one in values[start:end] if one is not None), default=None)
        for start, end in pairwise(edges)
    ]


def _points(values: Sequence[float | None], most: float | None) -> list[Point | None]:
    highest = max(most or 0.0, *(one or 0.0 for one in values), 0.0) or 1.0
    step = WIDTH - 2 * _MARGIN
    count = max(len(values) - 1, 1)
    # A single value stands at the right, where the newest one always is.
    start = 1 if len(values) == 1 else 0
    return [
        None
        if value is None
        else (
            _MARGIN + step * (start + number) / count,
            HEIGHT - _MARGIN - (HEIGHT - 2 * _MARGIN) * max(value, 0.0) / highest,
        )
        for number, value in enumerate(values)
    ]


def _line(points: Sequence[Point]) -> str:
    (x, y), *rest = points
    # A point by itself is drawn as a dot by the round ends of its line.
    following = rest or [(x, y)]
    return f"M{_short(x)} {_short(y)}" + "".join(f"L{_short(a)} {_short(b)}" for a, b in following)


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
