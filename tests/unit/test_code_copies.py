"""Code that is copied from Slack is the code that the agent wrote, and notifies nobody."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bot.sandbox.plain_text import thread_text
from bot.sandbox.slack.blocks.block_check import check_message
from bot.slack import text
from bot.slack.markdown import mrkdwn_blocks, report_blocks
from bot.slack.mrkdwn import MRKDWN
from bot.words.texts import clean
from tests.unit.report_text import codes, codes_of_mrkdwn, parsed_text, rich_elements

ZERO_WIDTH = re.compile("[\u200b-\u200f\u2060\ufeff]")
ACTIVE = re.compile(r"<(?=[!@#]|[a-z][a-z0-9+.-]*:)", re.IGNORECASE)
PIECES = (
    *("<!channel>", "<@U0ADA00001>", "<!here|x>", "@here", "<http://evil.example|docs>"),
    *("&lt;!all>", "&amp;", "&#60;", "`", "``", "```", "````", "~~~", "\t", "  ", "a", "$(date)"),
    *("|", "\\", "*", "_x_", "# ", "- ", "> ", "[a](http://b.example)", "\u200b"),
    "curl https://a.example/?x=1&y=2",
)
LINES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)
# A code span has one line, and its outer spaces are not part of it.
SPANS = LINES.map(str.strip).filter(bool)
FENCES = (
    st.lists(LINES | st.just(""), min_size=1, max_size=6)
    .map("\n".join)
    .filter(lambda code: code.strip("\n") != "")
)


def span(code: str) -> str:
    """The code as an agent writes it inline."""
    ticks = "`" * (max((len(run) for run in re.findall("`+", code)), default=0) + 1)
    return f"{ticks} {code} {ticks}"


def fence(code: str) -> str:
    """The code as an agent writes it in a block."""
    ticks = "`" * max(max((len(run) for run in re.findall("`+", code)), default=0) + 1, 3)
    return f"{ticks}sh\n{code}\n{ticks}"


def indented(lines: str) -> str:
    return "\n".join(f"  {line}" for line in lines.split("\n"))


@given(SPANS, FENCES)
@example("echo `date` <!channel>", "cat <<X\n```\n<@U0ADA00001>\n```\nX")
@example("a", "make:\n\tgcc -o a  \n\n\techo '&lt;'")
def test_code_is_copied_unchanged_from_a_report(inline: str, block: str) -> None:
    report = (
        f"# Use {span(inline)}\n\nRun **this** {span(inline)} now:\n\n{fence(block)}\n\n"
        f"- first {span(inline)}\n\n{indented(fence(block))}\n- last\n\nDone."
    )
    # An address with an `@` may be taken for one with a password, which is removed.
    assume(clean(report) == report)
    expected = [inline, inline, block, inline, block]

    for drawn in (report_blocks(report, 100_000), mrkdwn_blocks(report, 100_000)):
        assert codes(drawn) == expected
        assert ACTIVE.search(parsed_text(drawn)) is None
        assert {element["type"] for element in rich_elements(drawn)} <= {"text"}


@given(LINES, st.integers(min_value=30, max_value=400))
def test_a_report_of_any_code_is_accepted_by_slack(code: str, limit: int) -> None:
    for report in (span(code), fence(code), f"> {code}\n\n| {span(code)} |\n|---|\n| b |"):
        for drawn in (report_blocks(report, limit), mrkdwn_blocks(report, limit)):
            assert not check_message(drawn, "x")


@given(FENCES.map(lambda code: re.sub("`{3,}", "``", code)).filter(str.strip))
@example("echo `date`\n\tdone")
def test_code_in_a_sentence_is_copied_unchanged(code: str) -> None:
    shown = MRKDWN.code(code, 10_000)

    copied = list(codes_of_mrkdwn(f"Waiting for {shown} to finish."))
    assert copied == [clean(code).strip()]
    assert "<" not in shown


def test_no_code_gets_an_invisible_character() -> None:
    for code in ("a ``` b", "<!channel>", "`", "``", "~~~"):
        report = f"{span(code)}\n\n{fence(code)}"

        assert not ZERO_WIDTH.search(str(report_blocks(report, 5000)))
        assert not ZERO_WIDTH.search(str(mrkdwn_blocks(report, 5000)))
        assert not ZERO_WIDTH.search(text.code(code) + text.fence(code, 200))


def test_backticks_that_mrkdwn_cannot_show_change_visibly() -> None:
    assert text.code("echo '```'") == "```\necho '''''\n```"


@pytest.mark.parametrize("words", ["<!channel> see", "a ```open", "[x](http://evil.example)"])
def test_words_outside_code_are_still_made_harmless(words: str) -> None:
    drawn = report_blocks(f"{words}\n\n`<!channel>`", 500)

    assert codes(drawn) == ["<!channel>"]
    assert ACTIVE.search(text.unescape(parsed_text(drawn))) is None
    assert "](" not in parsed_text(drawn)


def test_the_plain_text_of_the_demo_shows_the_code_unchanged() -> None:
    code = "git log --format='<%an>' `cat x`  # <!channel> &amp;"

    shown = thread_text([{"blocks": report_blocks(f"Run\n\n{fence(code)}", 500)}])

    assert code in shown


def test_a_long_line_of_code_is_cut_visibly() -> None:
    drawn = report_blocks(fence("x <!here> " * 1000), 300)

    assert codes(drawn)[0].endswith("…")
    assert len(codes(drawn)[0]) <= 300
