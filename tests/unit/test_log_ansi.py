"""What a terminal would show of an output."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.web.dashboard.log import ansi
from bot.web.dashboard.log.ansi import PLAIN, Span, Style, parse, plain
from bot.web.dashboard.log.ansi_html import lines_html
from bot.web.dashboard.log.colours import BASIC, DARK, LIGHT, contrast, indexed, pair, readable

ESC = "\x1b"
_PIECES = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from([
            f"{ESC}[0m", f"{ESC}[1;31m", f"{ESC}[38;5;208m", f"{ESC}[48;2;1;2;3m", f"{ESC}[", "\b",
            f"{ESC}[38;5m", f"{ESC}]0;title\x07", f"{ESC}[2K", "\r", "\r\n", "\n", f"{ESC}(B", ESC,
            f"{ESC}[999999999999m", f"{ESC}[7m", "\x9b31m", f"{ESC}]8;;http://x{ESC}\\", "\x00",
        ]),
    ),
    max_size=30,
).map("".join)  # fmt: skip


def only(text: str) -> Span:
    ((span,),) = parse(text)
    return span


@pytest.mark.parametrize(
    ("code", "style"),
    [
        ("1", Style(is_bold=True)),
        ("1;3;4", Style(is_bold=True, is_italic=True, is_underlined=True)),
        ("31", Style(foreground=1)),
        ("97", Style(foreground=15)),
        ("44", Style(background=4)),
        ("103", Style(background=11)),
        ("38;5;9", Style(foreground=9)),
        ("38;5;208", Style(foreground=(255, 135, 0))),
        ("38;5;232", Style(foreground=(8, 8, 8))),
        ("48;2;1;2;3", Style(background=(1, 2, 3))),
        ("38:5:208", Style(foreground=(255, 135, 0))),
        ("38;5;208;1", Style(foreground=(255, 135, 0), is_bold=True)),
        ("31;39", PLAIN),
        ("31;1;0", PLAIN),
        ("31;", PLAIN),
        ("1;2;22", PLAIN),
        # Not a colour, so nothing changes.
        ("38;5;256", PLAIN),
        ("38;2;1;2;300", PLAIN),
        ("38;5", PLAIN),
        ("?25", PLAIN),
        ("31x", PLAIN),
    ],
)
def test_a_sequence_styles_what_follows(code: str, style: Style) -> None:
    if code.endswith("x"):
        assert plain(parse(f"{ESC}[{code}mok")[0]) == "mok"
    else:
        assert only(f"{ESC}[{code}mok") == Span("ok", style)


def test_a_style_goes_on_over_lines_until_it_ends() -> None:
    red = Style(foreground=1)

    lines = parse(f"a{ESC}[31mb\nc{ESC}[0md")

    assert lines == [[Span("a"), Span("b", red)], [Span("c", red), Span("d")]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10%\r50%\r100%", ["100%"]),
        ("a\r\nb\r\n", ["a", "b", ""]),
        (f"10%\r{ESC}[K", ["10%"]),
        ("ab\bc", ["ac"]),
        (f"{ESC}]0;the title\x07text", ["text"]),
        (f"{ESC}]8;;https://evil.example/{ESC}\\press{ESC}]8;;{ESC}\\", ["press"]),
        (f"{ESC}[2J{ESC}[1;1Hhome", ["home"]),
        (f"{ESC}P1$rq{ESC}\\x", ["x"]),
        ("", [""]),
    ],
)
def test_commands_of_a_terminal_are_carried_out_or_left_out(text: str, shown: list[str]) -> None:
    assert [plain(line) for line in parse(text)] == shown


def test_what_a_progress_bar_began_to_colour_stays_coloured() -> None:
    assert parse(f"{ESC}[32m1%\r2%") == [[Span("2%", Style(foreground=2))]]


@given(_PIECES)
@example(f"{ESC}[31m<script>alert(1)</script>")
def test_no_output_becomes_markup(text: str) -> None:
    html = str(lines_html(parse(text)))

    tags = set(re.findall(r"<(/?\w+)", html))
    assert tags <= {"span", "/span"}
    assert html.count("<span") == html.count("</span>")
    assert "style=" not in re.sub(r">[^<]*<", "><", f">{html}<")
    assert ESC not in html
    bare = unescape(re.sub(r"<span class=\"odd\"[^>]*>[^<]*</span>", "", html))
    assert not ansi._ESCAPE.search(bare)


@given(st.text(st.characters(blacklist_characters="\x1b\x9b\b\r", blacklist_categories=["Cs"])))
def test_a_text_without_commands_stays_as_it_is(text: str) -> None:
    assert "\n".join(plain(line) for line in parse(text)) == text


def test_many_colours_and_long_outputs_are_bounded() -> None:
    lines = parse(f"{ESC}[31mx{ESC}[0m" * 20_000)

    assert len({span.style for span in lines[0][ansi.MAX_SPANS + 2 :]}) == 1
    assert len(plain(lines[0])) == 20_000


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_each_colour_can_be_read_on_both_pages(colour: tuple[int, int, int]) -> None:
    assert contrast(readable(colour, LIGHT), LIGHT) >= 4.5
    assert contrast(readable(colour, DARK), DARK) >= 4.5


def test_the_palette_has_the_colours_of_xterm() -> None:
    assert [indexed(number) for number in range(16)] == list(BASIC)
    assert (indexed(16), indexed(231), indexed(255)) == ((0, 0, 0), (255,) * 3, (238,) * 3)
    with pytest.raises(ValueError, match="256"):
        indexed(256)


def test_the_stylesheet_has_the_readable_forms_of_the_sixteen_colours() -> None:
    from bot.web.dashboard.static_files import static_files

    styles = static_files().files["app.css"].decode()
    for number, colour in enumerate(BASIC):
        light, dark = pair(colour).split()
        assert f".a-{number} {{ color: light-dark({light}, {dark}); }}" in styles


def test_letters_that_hide_are_shown() -> None:
    html = str(lines_html(parse("a\u202eb\x07c\u200bd")))

    assert 'title="U+202E">U+202E<' in html
    assert 'title="U+0007">␇<' in html
    assert 'title="U+200B">U+200B<' in html
