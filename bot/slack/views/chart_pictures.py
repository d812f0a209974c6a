"""Pictures of the charts of a message, drawn from the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.charts.by_name import grouped_bars
from bot.charts.palette import PICTURE, Tone
from bot.charts.specs import Axis, Series, as_picture
from bot.slack.views import blocks
from bot.slack.views.message import Block, PictureFile

# By the place of a series; a chart of `blocks.bar_chart` has at most six.
_TONES = (
    Tone.ACCENT,
    Tone.QUIET,
    Tone.KILLED,
    Tone.CLEAN,
    Tone.ATTENTION,
    Tone.FAILED,
)


def chart_pictures(drawn: Sequence[Block]) -> dict[str, PictureFile]:
    """A picture of each chart by `blocks.bar_chart`, by its slot.  Pure."""
    charts = [block for block in drawn if block["type"] == blocks.CHART]
    return {
        f"picture:{number}": _picture(chart, number) for number, chart in enumerate(charts, start=1)
    }


def _picture(block: Block, number: int) -> PictureFile:
    chart: Mapping[str, Any] = block["chart"]
    names: Sequence[str] = chart["axis_config"]["categories"]
    series = [
        Series(name=one["name"], tone=tone, values=[point["value"] for point in one["data"]])
        for one, tone in zip(chart["series"], _TONES, strict=False)
    ]
    axis = Axis(title=chart["axis_config"]["y_label"])
    title: str = block["title"]
    return PictureFile(
        name=f"chart-{number}.png",
        title=title,
        alt=f"{title}: {', '.join(names)}. The figures are in the message above.",
        spec=as_picture(grouped_bars(names, series, axis, PICTURE), title),
    )
