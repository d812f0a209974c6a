"""Charts as Vega-Lite specs: plain values, drawn by a browser or into a picture.

All data are in the spec.  Names in it may come from anywhere: they are only ever values, never
names of fields or expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, count
from typing import Any

from bot.charts.palette import Palette, Tone

Spec = dict[str, Any]

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
HEIGHT = 220
_PICTURE_WIDTH = 640
_TICKS = 5


class Measure(StrEnum):
    """What the figures of a chart are; the values are how D3 writes them at an axis."""

    COUNT = ",.0f"
    USD = "$,.2~f"
    SHARE = ".0%"
    PLAIN = ",~g"


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line, or a part of each bar.

    Attributes:
        values: One for each day or name of the chart; `None` is unknown, and not drawn.
    """

    name: str
    tone: Tone
    values: Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The axis of the figures.

    Attributes:
        title: Their unit, or what is counted.
    """

    title: str
    measure: Measure = Measure.COUNT

    @property
    def spec(self) -> Spec:
        """As Vega-Lite has it."""
        steps = {"tickMinStep": 1} if self.measure is Measure.COUNT else {}
        return {"title": self.title, "format": self.measure.value, "tickCount": _TICKS, **steps}

    @property
    def encoding(self) -> Spec:
        """How figures are placed: from 0 up to a tick above the largest one."""
        return {
            "field": "y",
            "type": "quantitative",
            "axis": self.spec,
            "scale": {"zero": True, "nice": _TICKS},
        }


# Of charts with more than one series; of one the title says what it is.
LEGEND: Spec = {"title": None, "orient": "top", "symbolSize": 80, "columnPadding": 7}


def chart(content: Spec, palette: Palette) -> Spec:
    """A whole chart, as wide as its place."""
    axis = {"labelColor": palette.muted, "titleColor": palette.muted, "tickColor": palette.line}
    lines = {"gridColor": palette.line, "domainColor": palette.line, "titleFontWeight": "normal"}
    sizes = {"labelFontSize": 11, "titleFontSize": 11, "labelPadding": 5, "titlePadding": 8}
    return {
        "$schema": _SCHEMA,
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": palette.background,
        **content,
        "config": {
            "font": palette.font,
            # The page names the chart as a whole, and has its figures in a table.
            "aria": False,
            "view": {"stroke": None},
            "axis": {**axis, **lines, **sizes},
            "legend": {"labelColor": palette.text, "labelFontSize": 11, "offset": 8},
            "title": {"color": palette.text},
        },
    }


def as_picture(spec: Spec, title: str) -> Spec:
    """The same with its title, as wide as a message, for where there is no page around it."""
    return {
        **spec,
        "width": _PICTURE_WIDTH,
        "title": {"text": title, "anchor": "start", "fontSize": 16, "offset": 14},
        "padding": 16,
    }


def rows_of(names: Sequence[str], series: Sequence[Series]) -> list[Mapping[str, Any]]:
    """A row for each value."""
    return [
        {"x": name, "series": one.name, "place": place, "y": value}
        for place, one in enumerate(series)
        for name, value in zip(unique(names), one.values, strict=True)
    ]


def unique(names: Sequence[str]) -> list[str]:
    """The names, of which equal ones become different: each has a bar of its own."""
    found: dict[str, None] = {}
    for name in names:
        copies = (f"{name} ({number})" for number in count(2))
        found[next(one for one in chain([name], copies) if one not in found)] = None
    return list(found)


def names_of(series: Sequence[Series]) -> list[str]:
    """The names of some series."""
    return [one.name for one in series]


def colour_of(series: Sequence[Series], palette: Palette) -> Spec:
    """The colours of series, and their legend."""
    return {
        "field": "series",
        "type": "nominal",
        "scale": {
            "domain": names_of(series),
            "range": [palette.tones[one.tone] for one in series],
        },
        "legend": None if len(series) < 2 else LEGEND,
    }
