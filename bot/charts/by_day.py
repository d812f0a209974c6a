"""Charts of days: bars, and lines with what is usual behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from bot.charts.palette import Palette, Tone
from bot.charts.specs import HEIGHT, LEGEND, Axis, Series, Spec, chart, colour_of, names_of, rows_of

_DAY_FORMAT = "%-d %b"
_LINE_LEGEND: Spec = {**LEGEND, "symbolType": "stroke", "symbolSize": 300, "symbolStrokeWidth": 2}


@dataclass(frozen=True, kw_only=True)
class Band:
    """What is usual on each day: the lowest and the highest value; `None` where it is unknown."""

    ranges: Sequence[tuple[float, float] | None]


def stacked_days(
    days: Sequence[date],
    series: Sequence[Series],
    axis: Axis,
    palette: Palette,
    *,
    band: Band | None = None,
    marked: Sequence[bool] = (),
) -> Spec:
    """Bars by day, of several parts each, the first one at the bottom, before what is usual.

    Marked days stand out.
    """
    bars = {
        "data": {"values": rows_of(_texts(days), series)},
        "mark": {"type": "bar"},
        "encoding": {
            "x": _day_axis(),
            "y": {**axis.encoding, "stack": "zero"},
            "color": colour_of(series, palette),
            "order": {"field": "place", "type": "quantitative"},
        },
    }
    tops = [
        sum(value or 0 for value in values)
        for values in zip(*(one.values for one in series), strict=True)
    ]
    marks = _mark_layers(days, tops, marked, axis, palette)
    layers = [*_band_layers(days, band, axis, palette), bars, *marks]
    return chart({"layer": layers, "height": HEIGHT}, palette)


def lines_by_day(
    days: Sequence[date],
    series: Sequence[Series],
    axis: Axis,
    palette: Palette,
    *,
    band: Band | None = None,
    marked: Sequence[bool] = (),
) -> Spec:
    """Lines by day, above the band of what is usual; marked days of the first line stand out."""
    rows = rows_of(_texts(days), series)
    y = axis.encoding
    lines_legend = None if len(series) < 2 else _LINE_LEGEND
    lines = {
        "data": {"values": rows},
        # A day between two without a value is a dot.
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 22, "filled": True}},
        "encoding": {
            "x": _day_axis(),
            "y": y,
            "color": {**colour_of(series, palette), "legend": lines_legend},
            # Lines differ without their colours, too.
            "strokeDash": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": names_of(series), "range": [[1, 0], [5, 4], [2, 3]]},
                "legend": lines_legend,
            },
        },
    }
    layers = [
        *_band_layers(days, band, axis, palette),
        lines,
        *_mark_layers(days, series[0].values, marked, axis, palette),
    ]
    return chart({"layer": layers, "height": HEIGHT}, palette)


def _band_layers(
    days: Sequence[date], band: Band | None, axis: Axis, palette: Palette
) -> list[Spec]:
    if band is None or not any(band.ranges):
        return []
    rows = [
        {"x": day, "y": found[0] if found else None, "end": found[1] if found else None}
        for day, found in zip(_texts(days), band.ranges, strict=True)
    ]
    colour = palette.tones[Tone.QUIET]
    return [
        {
            "data": {"values": rows},
            "mark": {"type": "area", "color": colour, "opacity": 0.18},
            "encoding": {
                "x": _day_axis(),
                "y": axis.encoding,
                "y2": {"field": "end"},
            },
        }
    ]


def _mark_layers(
    days: Sequence[date],
    values: Sequence[float | None],
    marked: Sequence[bool],
    axis: Axis,
    palette: Palette,
) -> list[Spec]:
    found = [
        {"x": day, "y": value}
        for day, value, is_marked in zip(_texts(days), values, marked, strict=False)
        if is_marked and value is not None
    ]
    if not found:
        return []
    return [
        {
            "data": {"values": found},
            "mark": {
                "type": "point",
                "shape": "diamond",
                "size": 130,
                "filled": False,
                "strokeWidth": 2,
                "color": palette.tones[Tone.ATTENTION],
            },
            "encoding": {"x": _day_axis(), "y": axis.encoding},
        }
    ]


def _day_axis() -> Spec:
    return {
        "field": "x",
        "type": "temporal",
        "timeUnit": "utcyearmonthdate",
        # Lines and bands stand in the middle of their day, as bars do.
        "bandPosition": 0.5,
        "axis": {
            "title": None,
            "format": _DAY_FORMAT,
            "grid": False,
            "labelOverlap": True,
            "labelFlush": True,
            "tickCount": 8,
        },
    }


def _texts(days: Sequence[date]) -> list[str]:
    return [day.isoformat() for day in days]
