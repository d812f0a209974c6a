"""Charts as specs: the chart library takes every one of them without a remark."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bot.charts.by_day import Band, lines_by_day, stacked_days
from bot.charts.by_name import grouped_bars, ranges_by_name, stacked_bars
from bot.charts.palette import PAGE, PICTURE, Palette, Tone
from bot.charts.specs import Axis, Measure, Series, Spec, as_picture, unique
from bot.web.dashboard.charts.shown import ShownChart
from bot.web.dashboard.static_files import static_files

DAYS = [date(2026, 11, 1) + timedelta(days=number) for number in range(9)]
NAMES = ["implement", "fix", "a\"quoted'<name>"]
# A process of its own, because it keeps a whole JavaScript engine; remarks go to its error output.
_DRAW = """
import json, sys, vl_convert
for spec in json.load(sys.stdin):
    print(json.dumps(vl_convert.vegalite_to_svg(spec, show_warnings=True, allowed_base_urls=[])))
"""


def series(count: int, number: int) -> list[Series]:
    tones = [Tone.CLEAN, Tone.ATTENTION, Tone.FAILED, Tone.KILLED]
    return [
        Series(name=f"part {n}", tone=tones[n], values=[float(n + m + 1) for m in range(count)])
        for n in range(number)
    ]


def gaps(values: int) -> Series:
    found: list[float | None] = [float(n) for n in range(values)]
    found[2] = None
    return Series(name="with a gap", tone=Tone.ACCENT, values=found)


BAND = Band(ranges=[None, *((0.5, 4.0 + n) for n in range(7)), None])
USD, COUNT = Axis(title="US dollars", measure=Measure.USD), Axis(title="Runs")
MAKERS: dict[str, Callable[[Palette], Spec]] = {
    "stacked days": lambda palette: stacked_days(DAYS, series(9, 4), COUNT, palette),
    "days with a band": lambda palette: stacked_days(
        DAYS, series(9, 1), USD, palette, band=BAND, marked=[False, True, *[False] * 7]
    ),
    "lines": lambda palette: lines_by_day(
        DAYS,
        [gaps(9), *series(9, 1)],
        Axis(title="minutes", measure=Measure.PLAIN),
        palette,
        band=BAND,
        marked=[True, False, True, *[False] * 6],
    ),
    "one line": lambda palette: lines_by_day(
        DAYS, [gaps(9)], Axis(title="Share", measure=Measure.SHARE), palette
    ),
    "one day": lambda palette: lines_by_day(DAYS[:1], series(1, 2), COUNT, palette),
    "names": lambda palette: stacked_bars(NAMES, series(3, 2), USD, palette),
    "no names": lambda palette: stacked_bars([], series(0, 2), USD, palette),
    "ranges": lambda palette: ranges_by_name(
        NAMES, series(3, 2)[0], series(3, 2)[1], COUNT, palette
    ),
    "groups": lambda palette: grouped_bars(NAMES, series(3, 2), COUNT, palette),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, ET.Element]:
    specs = [as_picture(make(PICTURE), name) for name, make in MAKERS.items()]
    done = subprocess.run(
        [sys.executable, "-c", _DRAW],
        input=json.dumps(specs),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    return {name: ET.fromstring(json.loads(line)) for name, line in zip(MAKERS, lines, strict=True)}


def marks(svg: ET.Element, kind: str) -> list[ET.Element]:
    """The marks of a kind, such as `rect`, of the data: neither of axes nor of legends."""
    return [
        mark
        for group in svg.iter()
        if re.search(rf"mark-{kind} role-mark", group.get("class", ""))
        for mark in group
    ]


def texts(svg: ET.Element) -> str:
    return "\n".join("".join(one.itertext()) for one in svg.iter() if one.tag.endswith("text"))


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("stacked days", "rect", 9 * 4),
        ("days with a band", "rect", 9),
        ("days with a band", "area", 1),
        # Two lines, one of them in two parts; two marked days, of which one has no value.
        ("lines", "line", 2),
        ("one line", "line", 1),
        ("names", "rect", 3 * 2),
        ("ranges", "rule", 3),
        ("ranges", "symbol", 3 * 2),
        ("groups", "rect", 3 * 2),
        ("groups", "text", 3 * 2),
    ],
)
def test_each_figure_is_a_mark(
    drawn: dict[str, ET.Element], name: str, kind: str, count: int
) -> None:
    assert len(marks(drawn[name], kind)) == count


def test_unknown_values_are_not_drawn(drawn: dict[str, ET.Element]) -> None:
    points = marks(drawn["one line"], "symbol")

    assert len(points) == 8


def test_of_the_marked_days_only_those_with_a_value_stand_out(drawn: dict[str, ET.Element]) -> None:
    def diamonds(name: str) -> int:
        colour = PICTURE.tones[Tone.ATTENTION]
        return sum(mark.get("stroke") == colour for mark in marks(drawn[name], "symbol"))

    assert diamonds("lines") == 1
    assert diamonds("days with a band") == 1
    assert diamonds("stacked days") == 0


def test_a_chart_names_its_unit_its_days_its_series_and_itself(
    drawn: dict[str, ET.Element],
) -> None:
    words = texts(drawn["stacked days"])

    for expected in ("Runs", "1 Nov", "part 0", "part 3", "stacked days"):
        assert expected in words
    assert "$6" in texts(drawn["days with a band"])
    assert "%" in texts(drawn["one line"])
    # One series needs no legend.
    assert "part 0" not in texts(drawn["days with a band"])


def test_names_are_values_and_stay_apart(drawn: dict[str, ET.Element]) -> None:
    assert NAMES[2] in texts(drawn["names"])
    assert unique(["Ada", "Ada", "Ada (2)", "Bo"]) == ["Ada", "Ada (2)", "Ada (2) (2)", "Bo"]


def test_names_stand_in_the_given_order(drawn: dict[str, ET.Element]) -> None:
    words = texts(drawn["names"])

    assert words.index("implement") < words.index("fix")


def colours(value: Any) -> set[str]:
    text = json.dumps(value)
    return set(re.findall(r'"(#[0-9a-f]{6}|var\(--[a-z]+\))"', text))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_all_colours_of_a_chart_are_those_of_its_palette(make: Callable[[Palette], Spec]) -> None:
    of_page, of_picture = colours(make(PAGE)), colours(make(PICTURE))

    assert all(one.startswith("var(") for one in of_page)
    assert all(one.startswith("#") for one in of_picture)
    assert len(of_page) >= 4


def test_the_colours_of_pictures_are_the_light_ones_of_the_dashboard() -> None:
    styles = static_files().files["app.css"].decode()
    light = dict(re.findall(r"--([a-z]+): light-dark\((#[0-9a-f]{6}),", styles))

    assert {tone: light[tone.value] for tone in Tone} == dict(PICTURE.tones)
    assert (PICTURE.text, PICTURE.muted, PICTURE.line, PICTURE.background) == (
        light["text"],
        light["muted"],
        light["line"],
        light["panel"],
    )


def test_pages_have_every_colour_that_charts_name() -> None:
    styles = static_files().files["app.css"].decode()
    declared = {f"var(--{name})" for name in re.findall(r"--([a-z]+):", styles)}

    assert {PAGE.text, PAGE.muted, PAGE.line, *PAGE.tones.values()} <= declared


def test_nothing_in_a_chart_ends_its_script() -> None:
    hostile = "</script><script>alert(1)</script><!--\u2028"
    spec = stacked_bars([hostile], series(1, 1), COUNT, PAGE)

    shown = ShownChart(name="x", title="", label="", spec=spec, head=(), rows=())

    assert "<" not in shown.spec_json
    assert json.loads(shown.spec_json) == spec


def test_only_the_child_process_loads_the_library() -> None:
    program = (
        "import sys, bot.charts.program, bot.charts.pictures, bot.web.dashboard.pages.analytics;"
        "print('vl_convert' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout.strip() == "False"
