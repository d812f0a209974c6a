"""Charts of names, such as workflows: a bar or a range for each."""

from __future__ import annotations

from collections.abc import Sequence

from bot.charts.palette import Palette
from bot.charts.specs import HEIGHT, LEGEND, Axis, Series, Spec, chart, colour_of, rows_of, unique

# The height of a bar with its share of the gap.
_BAR_STEP = 28
_LABEL_LIMIT = 150
_HEADROOM = 1.12
# More names than this do not fit beside each other.
_MOST_UPRIGHT = 8


def stacked_bars(
    names: Sequence[str], series: Sequence[Series], axis: Axis, palette: Palette
) -> Spec:
    """A horizontal bar for each name, in the given order, of several parts each."""
    return chart(
        {
            "data": {"values": rows_of(names, series)},
            "mark": {"type": "bar"},
            "height": _BAR_STEP * len(names),
            "encoding": {
                "y": _name_axis(names),
                "x": {**axis.encoding, "stack": "zero"},
                "color": colour_of(series, palette),
                "order": {"field": "place", "type": "quantitative"},
            },
        },
        palette,
    )


def ranges_by_name(
    names: Sequence[str], low: Series, high: Series, axis: Axis, palette: Palette
) -> Spec:
    """A line from a lower to a higher figure for each name, with a mark at both ends."""
    x = axis.encoding
    spans = [
        {"x": name, "y": start, "end": end}
        for name, start, end in zip(unique(names), low.values, high.values, strict=True)
        if start is not None and end is not None
    ]
    points = {
        "data": {"values": rows_of(names, (low, high))},
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "encoding": {
            "y": _name_axis(names),
            "x": x,
            "color": colour_of((low, high), palette),
            "shape": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": [low.name, high.name], "range": ["circle", "diamond"]},
                "legend": LEGEND,
            },
        },
    }
    rules = {
        "data": {"values": spans},
        "mark": {"type": "rule", "strokeWidth": 2, "color": palette.line},
        "encoding": {"y": _name_axis(names), "x": x, "x2": {"field": "end"}},
    }
    return chart({"layer": [rules, points], "height": _BAR_STEP * len(names)}, palette)


def grouped_bars(
    names: Sequence[str], series: Sequence[Series], axis: Axis, palette: Palette
) -> Spec:
    """For each name a group of bars beside each other, with their figures."""
    place = {
        "field": "place",
        "type": "nominal",
        "scale": {"domain": list(range(len(series)))},
    }
    most = max((value or 0 for one in series for value in one.values), default=0) or 1
    # The figures stand above the bars, also above the largest one.
    scale = {**axis.encoding["scale"], "domain": [0, most * _HEADROOM]}
    y = {**axis.encoding, "scale": scale}
    angle = 0 if len(names) <= _MOST_UPRIGHT else -45
    encoding = {"x": _name_axis(names, angle=angle), "xOffset": place, "y": y}
    return chart(
        {
            "data": {"values": rows_of(names, series)},
            "height": HEIGHT,
            "layer": [
                {
                    "mark": {"type": "bar"},
                    "encoding": {**encoding, "color": colour_of(series, palette)},
                },
                {
                    "mark": {"type": "text", "dy": -7, "color": palette.text, "fontSize": 12},
                    "encoding": {
                        **encoding,
                        "text": {
                            "field": "y",
                            "type": "quantitative",
                            "format": axis.measure.value,
                        },
                    },
                },
            ],
        },
        palette,
    )


def _name_axis(names: Sequence[str], *, angle: int | None = None) -> Spec:
    labels: Spec = {"labelLimit": _LABEL_LIMIT, "ticks": False, "title": None, "grid": False}
    if angle is not None:
        labels["labelAngle"] = angle
    return {
        "field": "x",
        "type": "nominal",
        # A domain keeps its order, also across layers.
        "scale": {"domain": unique(names)},
        "axis": labels,
    }
