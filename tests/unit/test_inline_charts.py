"""Sparklines and bars within the HTML."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web.dashboard.charts.inline import (
    HEIGHT,
    MOST_POINTS,
    WIDTH,
    Bar,
    sparkline_of,
    with_bar_lengths,
)
from bot.web.dashboard.renderer import Renderer

RENDERER = Renderer()


def drawn(call: str, **values: object) -> ET.Element:
    """What a macro draws."""
    source = f'{{% import "macros/charts.html" as charts %}}<div>{{{{ charts.{call} }}}}</div>'
    html = RENDERER.environment.from_string(source).render(**values)
    return ET.fromstring(html)


def points_of(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_a_series_goes_from_edge_to_edge_and_its_largest_value_to_the_top() -> None:
    shape = sparkline_of([0, 5, 10])

    assert shape is not None
    assert points_of(shape.line) == [(2, HEIGHT - 2), (WIDTH / 2, HEIGHT / 2), (WIDTH - 2, 2)]
    assert shape.last == (WIDTH - 2, 2)


def test_unknown_values_are_gaps_and_no_zeros() -> None:
    shape = sparkline_of([1, None, float("nan"), 1, 2])

    assert shape is not None
    assert shape.line.count("M") == 2
    assert len(points_of(shape.line)) == 4


@pytest.mark.parametrize("values", [[], [None], [float("inf")]])
def test_nothing_is_drawn_of_nothing_known(values: list[float | None]) -> None:
    assert sparkline_of(values) is None
    assert list(drawn("sparkline(values)", values=values)) == []


def test_a_given_maximum_is_the_upper_edge() -> None:
    shape = sparkline_of([1, 2], most=4)

    assert shape is not None
    assert shape.last[1] == HEIGHT / 2


def test_the_peak_of_a_long_series_stays() -> None:
    shape = sparkline_of([1.0] * 5000 + [100.0] + [1.0] * 5000)

    assert shape is not None
    found = points_of(shape.line)
    assert len(found) == MOST_POINTS
    assert min(y for _, y in found) == 2


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e12)), max_size=400))
def test_every_point_is_within_the_picture(values: list[float | None]) -> None:
    shape = sparkline_of(values)

    assert (shape is None) == all(one is None for one in values)
    for x, y in points_of(shape.line) if shape else []:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_bars_are_as_long_as_their_values_compared_with_the_largest() -> None:
    rows = [
        Bar(label="plan", value=1, words="$1.00"),
        Bar(label="write", value=4, words="$4.00"),
        Bar(label="test", value=None, words=""),
    ]

    assert [length for _, length in with_bar_lengths(rows)] == ["25", "100", None]
    assert [length for _, length in with_bar_lengths([Bar(label="", value=0, words="")])] == ["0"]


def test_bars_can_be_read_and_are_escaped() -> None:
    rows = [Bar(label="<b>plan</b>", value=1, words="$1.00", href="/runs?a=1&b=2", tone="failed")]

    table = drawn('bars(rows, "Cost by step")', rows=rows)[0]

    assert table.findtext("caption") == "Cost by step"
    row = table.find("tbody/tr")
    assert row is not None
    link = row.find("th/a")
    assert link is not None
    assert (link.text, link.get("href")) == ("<b>plan</b>", "/runs?a=1&b=2")
    assert row.findtext("td[@class='number']") == "$1.00"


def test_a_sparkline_is_an_image_with_a_name_or_decoration() -> None:
    (named,) = drawn("sparkline([1, 2], 'CPU: <2 cores')")
    (decoration,) = drawn("sparkline([1, 2])")

    assert (named.get("role"), named.get("aria-label")) == ("img", "CPU: <2 cores")
    assert decoration.get("aria-hidden") == "true"
