"""The agent's Markdown as it is shown: where links lead, what stays markup, who is called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.slack import text
from bot.slack.markdown import first_words, is_clipped, mrkdwn_blocks, report_blocks
from tests.unit.report_text import parsed_text, safe_markdown, to_mrkdwn, visible_size

EVIL = "http://evil.example"
CALLS = ("<!channel>", "<!here|x>", "<@U123>", "<#C1>", "<http://evil.example|docs>", "<mailto:a>")
FRAMES = (
    *("{}", "**{}**", "*{}*", "~~{}~~", "`{}`", "``{}``", "[{}](http://a.b)", "![{}](http://a.b)"),
    *(
        "# {}",
        "- {}",
        "1. {}",
        "> {}",
        "- [ ] {}",
        "```\n{}\n```",
        "    {}",
        "| {} |\n|---|\n| b |",
    ),
    *("[a][{}]", "[{}]: http://a.b", "\\{}", "&lt;{}", "<div>\n{}\n</div>", "<{}", "[x](<{}>)"),
)
# Signs of one call, taken apart by markup and by entities.
SPLIT = ("<", "&lt;", "&#60;", "\\<", "!channel>", "@U123>", "http://evil.example|x>", "**", "`")
ACTIVE = re.compile(r"<(?=[!@#]|[a-z][a-z0-9+.-]*:)", re.IGNORECASE)

DOCUMENTS = st.lists(
    st.tuples(st.sampled_from(FRAMES), st.sampled_from(CALLS) | st.text(max_size=8)).map(
        lambda pair: pair[0].replace("{}", pair[1])
    )
    | st.lists(st.sampled_from(SPLIT), max_size=5).map("".join)
).map("\n".join)


@settings(deadline=None)
@given(DOCUMENTS, st.integers(min_value=30, max_value=600))
def test_no_markup_around_a_call_lets_it_through(document: str, limit: int) -> None:
    safe, mrkdwn = report_blocks(document, limit), mrkdwn_blocks(document, limit)

    assert visible_size(safe) <= limit
    assert visible_size(mrkdwn) <= limit
    parsed = parsed_text(safe)
    assert ACTIVE.search(parsed) is None
    assert ACTIVE.search(text.unescape(parsed)) is None
    assert "<" not in parsed_text(mrkdwn)
    assert "<" not in first_words(document, limit)


@settings(deadline=None)
@given(DOCUMENTS)
def test_what_was_made_safe_holds_no_link_of_markdown(document: str) -> None:
    found: dict[str, object] = {}
    tokens = MarkdownIt("commonmark").parse(parsed_text(report_blocks(document, 10_000)), found)

    parts = [part.type for token in tokens for part in token.children or ()]
    assert not {"link_open", "image", "html_inline"} & set(parts)
    assert "html_block" not in {token.type for token in tokens}
    assert not found.get("references")


@pytest.mark.parametrize("link", ["[docs][1]", "[docs] [1]", "[1][]", "[1]"])
def test_a_link_by_reference_shows_where_it_leads(link: str) -> None:
    report = f"See {link} now.\n\n[1]: {EVIL} 'the docs'"

    for shown in (safe_markdown(report, 500), to_mrkdwn(report, 500)):
        assert f"({EVIL}) now." in shown
        assert "the docs" not in shown


def test_a_definition_that_no_link_uses_is_shown() -> None:
    assert safe_markdown(f"Done.\n\n[later]: {EVIL}", 500) == f"Done.\n\nLATER: {EVIL}"
    assert safe_markdown(f"[later]: {EVIL}", 500) == f"LATER: {EVIL}"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<http://a.b/c>", "http://a.b/c"),
        ("http://a.b/c_d_e", "http://a.b/c_d_e"),
        ("<a@b.example>", "a@b.example"),
        ("[http://a.b](http://a.b)", "http://a.b"),
        (f"[http://a.b]({EVIL})", f"http://a.b ({EVIL})"),
        (f"[**docs**]({EVIL})", f"**docs** ({EVIL})"),
        (f"[`docs`]({EVIL})", f"`docs` ({EVIL})"),
        (f"[]({EVIL})", EVIL),
        ("[docs]()", "docs"),
        ("[docs](javascript:alert)", "docs (javascript:alert)"),
        (f"![a chart]({EVIL}/a.png)", f"a chart ({EVIL}/a.png)"),
        (f"![]({EVIL}/a.png)", f"{EVIL}/a.png"),
        (f"[![img](http://a.b)]({EVIL})", f"img (http://a.b) ({EVIL})"),
    ],
)
def test_links_and_images_are_their_text_and_their_address(written: str, shown: str) -> None:
    assert safe_markdown(written, 500) == shown


def test_emphasis_in_emphasis_is_kept_in_both_languages() -> None:
    report = "It is **bold and *both* and ~~gone~~**, *soft **both***."

    assert safe_markdown(report, 500) == report
    assert to_mrkdwn(report, 500) == "It is *bold and _both_ and ~gone~*, _soft *both*_."


def test_emphasis_nested_by_hundreds_is_shown_once() -> None:
    assert safe_markdown("*" * 1500 + "a" + "*" * 1500, 3200) == "**a**"


def test_what_was_escaped_stays_escaped() -> None:
    assert safe_markdown(r"\*not soft\*, 2 \< 3 &amp; 4", 100) == r"\*not soft\*, 2 &lt; 3 &amp; 4"
    assert to_mrkdwn(r"2 \< 3 &amp; 4 &copy;", 100) == "2 &lt; 3 &amp; 4 ©"


def test_a_table_stays_one() -> None:
    report = f"| a | b |\n|:--|--:|\n| [x]({EVIL}) | `1 \\| 2` |\n| <!channel> | y |"

    assert safe_markdown(report, 500) == (
        f"| a | b |\n|:--|--:|\n| x ({EVIL}) | `1 \\| 2` |\n| &lt;\u200b!channel> | y |"
    )
    assert to_mrkdwn(report, 500) == (
        f"| a | b |\n| x ({EVIL}) | `1 | 2` |\n| &lt;!channel&gt; | y |"
    )


def test_html_is_words() -> None:
    report = "<div onclick='x'>\n<b>bold</b> [docs](http://a.b)\n</div>"

    assert safe_markdown(report, 500) == (
        "&lt;div onclick='x'>\n&lt;b>bold&lt;/b> docs (http://a.b)\n&lt;/div>"
    )


def test_lists_and_quotes_keep_their_nesting() -> None:
    report = "1. one\n   - deep\n     - deeper\n2. two\n\n   more\n\n> said\n> > before"

    assert safe_markdown(report, 500) == report
    assert to_mrkdwn(report, 500) == (
        "1. one\n   • deep\n     • deeper\n2. two\n\n   more\n\n&gt; said\n&gt; &gt; before"
    )


def test_a_tasks_box_is_shown_in_numbered_lists_too() -> None:
    assert to_mrkdwn("1. [ ] one\n2. [X] two", 100) == "1. ☐ one\n2. ☑ two"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("    x = <channel>", "```\nx = <channel>\n```"),
        ("- a\n  ```\n  b\n  ```", "- a\n  ```\n  b\n  ```"),
        ("```\na ~~~ b\n```", "```\na ~~~ b\n```"),
        ("``a`b``", "``a`b``"),
    ],
)
def test_code_stays_code(written: str, shown: str) -> None:
    assert safe_markdown(f"words\n\n{written}", 500) == f"words\n\n{shown}"


def test_the_text_of_a_link_opens_no_code_block() -> None:
    assert safe_markdown(f"[~~~]({EVIL})\nwords", 100) == f"~\u200b~\u200b~ ({EVIL})\nwords"


def test_a_line_of_signs_makes_no_heading_of_the_line_above() -> None:
    assert safe_markdown("words\n***\nmore", 100) == "words\n***\nmore"
    assert safe_markdown("Title\n===\nmore", 100) == "# Title\nmore"


def test_text_that_is_nested_too_deeply_is_shown_as_words() -> None:
    report = ">" * 200 + " <!channel>"

    assert safe_markdown(report, 500) == ">" * 200 + " &lt;\u200b!channel>"
    assert "channel" in first_words(report, 1000)


def test_an_entity_cannot_bring_in_what_is_taken_out_of_texts() -> None:
    assert safe_markdown("safe&#x202e;gnp.exe", 100) == "safegnp.exe"
    assert safe_markdown("a&#10;# b", 100) == "a # b"


def test_the_first_words_leave_marks_addresses_stay() -> None:
    report = f"## Title\n\n| a |\n|---|\n| b |\n\n- [x] **Done**, see [docs]({EVIL})\n- more"

    assert first_words(report, 200) == f"Done, see docs ({EVIL})"


def test_a_long_report_is_clipped_and_its_fence_closed() -> None:
    report = "words\n\n```\n" + "x = 1\n" * 500

    shown = safe_markdown(report, 300)

    assert is_clipped(report, 300)
    assert len(shown) <= 300
    assert shown.endswith("\n```")
