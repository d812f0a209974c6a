"""Lines of a log as the page shows them: folded, and each kind with its words."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.web.dashboard.log import folding, rows
from bot.web.dashboard.log.ansi import parse, plain
from bot.web.dashboard.log.folding import SHOWN_LINES, fold
from bot.web.dashboard.log.rows import LogRow, Speaker, log_row
from bot.web.dashboard.renderer import Renderer
from bot.words.runs.log_lines import kinds_named
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.log_view import LogLine
from tests.database import NOW


def row(kind: EventKind, **data: Any) -> LogRow:
    return log_row(LogLine(number=7, event=EventRecord(kind=kind, at=NOW, data=data)))


def shown(text: str) -> list[tuple[str, str]]:
    """The pieces of a text, as their label and their text."""
    return [(one.label, "\n".join(plain(line) for line in one.lines)) for one in fold(parse(text))]


def test_a_short_text_is_one_piece() -> None:
    assert shown("one\ntwo") == [("", "one\ntwo")]


def test_many_lines_are_folded_after_the_first() -> None:
    text = "\n".join(map(str, range(100)))

    (_, head), (label, rest) = shown(text)

    assert head.count("\n") == SHOWN_LINES - 1
    assert label == "88 more lines"
    assert f"{head}\n{rest}" == text


def test_one_line_too_many_is_not_worth_a_press() -> None:
    assert [label for label, _ in shown("\n".join(["x"] * (SHOWN_LINES + 1)))] == ["", ""]


def test_data_for_programs_is_folded() -> None:
    blob = "QUJD" * 100
    wrapped = "\n".join([blob[:76]] * 5)
    minified = json.dumps({"items": [{"name": "n" * 20, "value": n} for n in range(20)]})

    assert shown(f"image: {blob}") == [("", "image: "), ("encoded data · 400 B", blob)]
    assert shown(f"key\n{wrapped}\nend") == [
        ("", "key"), ("encoded data · 380 B", wrapped), ("", "end"),
    ]  # fmt: skip
    ((label, pretty),) = shown(minified)
    assert label.startswith("JSON · ")
    assert (json.loads(pretty), pretty.count("\n") > 20) == (json.loads(minified), True)
    (_, head), (label, rest) = shown("word " * 500)
    assert (label, head + rest) == ("long line · 2.3 kB", "word " * 500)


def test_json_that_would_lose_something_stays_as_it_is() -> None:
    twice = '{"a": 1, "a": 2, "b": "' + "x " * 200 + '"}'
    exact = '{"a": 1.00000000000000000001, "b": "' + "x " * 200 + '"}'

    assert shown(twice) == [("", twice)]
    assert shown(exact) == [("", exact)]


_CHARS = st.sampled_from("ab=/ {}[]\"',:\n1.0")


@given(st.lists(st.one_of(st.text(_CHARS, max_size=30), st.just("QUJD" * 60), st.just("\n"))))
def test_nothing_is_lost_by_folding(parts: list[str]) -> None:
    text = "".join(parts)
    pieces = fold(parse(text))

    joined = "".join(plain(line) for one in pieces for line in one.lines)
    if any("JSON" in one.label for one in pieces):
        assert "".join(joined.split()) == "".join(text.split())
    else:
        assert joined == text.replace("\n", "")
    assert sum(len(one.lines) for one in pieces if not one.label) <= SHOWN_LINES + 1


def test_each_kind_of_event_has_a_speaker() -> None:
    assert rows._SPEAKERS.keys() == set(EventKind)
    for kind in EventKind:
        assert row(kind).parts, kind


def test_a_failed_result_says_so() -> None:
    failed = row(EventKind.TOOL_FINISHED, error=True, output="boom")

    assert (failed.speaker, failed.label, failed.is_bad) == (Speaker.TOOL, "failed", True)
    assert not row(EventKind.TOOL_FINISHED, error=False, output="ok").is_bad
    assert row(EventKind.RUN_ENDED, stop_reason="timeout").is_bad
    assert not row(EventKind.RUN_ENDED, stop_reason="success").is_bad


def test_a_result_without_output_says_so() -> None:
    (part,) = row(EventKind.TOOL_FINISHED, error=False, output=" \n").parts

    assert part.html == "(no output)"


def test_an_enormous_text_is_cut_and_says_so() -> None:
    parts = row(EventKind.AGENT_TEXT, text="x y " * 100_000).parts

    assert parts[-1].html == "… 380000 more characters are cut here"
    assert sum(len(part.html) for part in parts) < 30_000


def test_markup_in_a_line_is_text() -> None:
    macro = Renderer().environment.get_template("log/rows.html").module
    hostile = row(EventKind.TOOL_STARTED, name="<script>", summary='"><img src=x onerror=alert(1)>')

    html = str(macro.row(hostile))  # type: ignore[attr-defined]

    assert "<script>" not in html
    assert "<img" not in html
    assert 'href="#L7"' in html


def test_the_words_of_kinds_are_found_but_not_those_of_most_lines() -> None:
    assert EventKind.KILL_PHASE in kinds_named("KILL")
    assert kinds_named("agent:") == frozenset()
    assert not kinds_named("tool") & {EventKind.TOOL_STARTED, EventKind.TOOL_FINISHED}


def test_folding_is_bounded() -> None:
    deep = "[" * 100_000

    assert folding.fold(parse(deep))
