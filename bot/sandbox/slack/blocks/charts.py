"""The chart block of messages, with the limits of its documentation.  Pure."""

from typing import Any

from bot.sandbox.slack.blocks.json_rules import (
    Rule,
    add_error,
    array,
    by_type,
    number,
    object_with,
    string,
    type_is,
)
from bot.sandbox.slack.blocks.texts import ID

KIND = "data_visualization"
MAX_PER_MESSAGE = 2
_MAX_SERIES = 6
_MAX_POINTS = 20
_LABEL = string(20, minimum=1)
_TITLE = string(50, minimum=1)

_SEGMENT = object_with({"label": _LABEL, "value": number(0)})
_PIE = object_with({"type": type_is("pie"), "segments": array(_SEGMENT, 6, minimum=1)})
_POINT = object_with({"label": _LABEL, "value": number()})
_SERIES = object_with({"name": _LABEL, "data": array(_POINT, _MAX_POINTS, minimum=1)})
_AXES = object_with(
    {"categories": array(_LABEL, _MAX_POINTS, minimum=1)}, {"x_label": _TITLE, "y_label": _TITLE}
)


def _plotted(kind: str) -> Rule:
    """A chart with axes: every series has one value in each category."""
    shape = object_with(
        {
            "type": type_is(kind),
            "series": array(_SERIES, _MAX_SERIES, minimum=1),
            "axis_config": _AXES,
        }
    )

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        before = len(errors)
        shape(value, pointer, errors)
        if len(errors) > before:
            return
        categories = value["axis_config"]["categories"]
        if len(set(categories)) < len(categories):
            add_error(errors, f"{pointer}/axis_config", "categories must differ")
        names = [series["name"] for series in value["series"]]
        if len(set(names)) < len(names):
            add_error(errors, f"{pointer}/series", "names must differ")
        for index, series in enumerate(value["series"]):
            if sorted(point["label"] for point in series["data"]) != sorted(categories):
                add_error(
                    errors, f"{pointer}/series/{index}", "labels must be those of the categories"
                )

    return rule


CHART: Rule = object_with(
    {
        "type": type_is(KIND),
        "title": _TITLE,
        "chart": by_type({"pie": _PIE, **{k: _plotted(k) for k in ("bar", "area", "line")}}),
    },
    {"block_id": ID},
)


def check_number(blocks: Any, pointer: str, errors: list[str]) -> None:
    """Check how many charts a message has."""
    found = blocks if isinstance(blocks, list) else []
    charts = sum(isinstance(block, dict) and block.get("type") == KIND for block in found)
    if charts > MAX_PER_MESSAGE:
        add_error(errors, pointer, f"no more than {MAX_PER_MESSAGE} charts allowed")
