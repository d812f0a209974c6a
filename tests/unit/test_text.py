import re
from time import perf_counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.slack import text
from bot.slack.markdown import first_words, is_clipped, mrkdwn_blocks, report_blocks
from bot.words import texts
from tests.unit.report_text import parsed_text, safe_markdown, to_mrkdwn

PIECES = (
    *("<!channel>", "<@U123>", "<", ">", "&", "&lt;", "`", "```", "# ", "**", "*", "_", "|"),
    *("~~~", "- ", "word", "[a](b)", "https://a.b", "<https://a.b|c>", "<!here|x>"),
)
TEXTS = st.text() | st.lists(st.sampled_from([*PIECES, "\n", " ", "\x00"])).map("".join)
LIMITS = st.integers(min_value=30, max_value=400)
ALLOWED_ENTITIES = re.compile(r"&(?!amp;|lt;|gt;)")
ACTIVE = re.compile(r"<(?=[!@#]|[a-z][a-z0-9+.-]*:)", re.IGNORECASE)


BARS = re.compile("^>(?: |$)", re.MULTILINE)


def is_harmless_mrkdwn(words: str) -> bool:
    bare = BARS.sub("", words)
    return "<" not in bare and ">" not in bare and ALLOWED_ENTITIES.search(bare) is None


@settings(deadline=None)
@given(TEXTS)
def test_escaping_removes_everything_that_slack_interprets(words: str) -> None:
    escaped = text.escape(words)

    assert "<" not in escaped
    assert ">" not in escaped
    assert ALLOWED_ENTITIES.search(escaped) is None


@settings(deadline=None)
@given(TEXTS)
def test_escaping_can_be_undone(words: str) -> None:
    assert text.unescape(text.escape(words)) == texts.clean(words)


@settings(deadline=None)
@given(TEXTS, st.integers(min_value=0, max_value=300))
def test_an_escaped_text_keeps_its_limit_and_cuts_no_entity(words: str, limit: int) -> None:
    escaped = text.escape(words, limit)

    assert len(escaped) <= limit
    assert ALLOWED_ENTITIES.search(escaped) is None


@settings(deadline=None)
@given(TEXTS, st.integers(min_value=0, max_value=300))
def test_clip_keeps_short_texts_and_bounds_long_ones(words: str, limit: int) -> None:
    clipped = texts.clip(words, limit)

    assert len(clipped) <= limit
    assert (clipped == words) == (len(words) <= limit)


@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_every_way_to_show_untrusted_text_is_bounded_and_harmless(words: str, limit: int) -> None:
    shown = [
        text.one_line(words, limit),
        text.quote(words, limit),
        text.code(words, limit),
        text.fence(words, limit),
        parsed_text(mrkdwn_blocks(words, limit)),
        first_words(words, limit),
    ]

    for one in shown:
        assert len(one) <= limit
        assert is_harmless_mrkdwn(one), one


@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_one_line_is_one_line(words: str, limit: int) -> None:
    assert "\n" not in text.one_line(words, limit)
    assert "\n" not in texts.plain_line(words, limit)
    assert len(texts.plain_line(words, limit)) <= limit


@example("`````", 30)
@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_text_inside_code_cannot_end_it(words: str, limit: int) -> None:
    shown = text.code(words, limit)
    assert shown.count("```") == 2 or shown.count("`") in {0, 2}
    assert text.fence(words, limit).count("```") == 2


@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_markdown_never_mentions_a_person(words: str, limit: int) -> None:
    safe = parsed_text(report_blocks(words, limit))

    assert len(safe) <= limit
    assert ACTIVE.search(safe) is None
    assert ACTIVE.search(text.unescape(safe)) is None


@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_a_report_that_is_not_clipped_is_complete(words: str, limit: int) -> None:
    whole = safe_markdown(words, 100_000)

    assert is_clipped(words, limit) or safe_markdown(words, limit) == whole
    assert is_clipped(words, limit) or len(whole) <= limit


@pytest.mark.parametrize(
    "hidden",
    [
        "[![img](http://a.b)](http://evil.example)",
        "[text](\nhttp://evil.example)",
        "[te\nxt](http://evil.example)",
        "[[x]](http://evil.example)",
        "[x]( <http://evil.example> 'title')",
    ],
)
def test_no_link_hides_where_it_leads(hidden: str) -> None:
    assert "](" not in safe_markdown(hidden, 500)


@pytest.mark.full_speed
@pytest.mark.parametrize("piece", ["[", "![", "[x](((", "`*_~", "**a ", "```\n", "<!channel> "])
def test_any_agent_text_is_drawn_quickly(piece: str) -> None:
    report = piece * (200_000 // len(piece))

    started = perf_counter()
    safe_markdown(report, 3200)
    to_mrkdwn(report, 1200)
    first_words(report, 100)
    is_clipped(report, 3200)

    # It takes milliseconds; quadratic time would be minutes.
    assert perf_counter() - started < 5


@settings(deadline=None)
@given(TEXTS)
def test_parsing_undoes_exactly_slacks_escaping(words: str) -> None:
    # Slack sends a person's words escaped and otherwise unchanged.
    carried = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert text.from_slack(carried) == words


@pytest.mark.parametrize(
    ("carried", "typed"),
    [
        ("<https://a.b/c>", "https://a.b/c"),
        ("<http://a.b|a.b>", "a.b"),
        ("<https://a.b/?x=1&amp;y=2>", "https://a.b/?x=1&y=2"),
        ("<https://a.b|the docs>", "the docs (https://a.b)"),
        ("<mailto:git@github.com|git@github.com>:acme/api.git", "git@github.com:acme/api.git"),
        ("ask <@U0ADA|ada> in <#C0BUILDS|builds>", "ask @ada in #builds"),
        ("<@U0ADA>", "@U0ADA"),
        ("<!here> <!subteam^S1|@ops>", "@here @ops"),
        ("Vec<u8> &amp;&amp; a &lt; b", "Vec<u8> && a < b"),
        ("&amp;lt;", "&lt;"),
    ],
)
def test_slack_markup_is_parsed_as_typed(carried: str, typed: str) -> None:
    assert text.from_slack(carried) == typed


def test_a_link_is_parsed_as_its_address_on_request() -> None:
    assert text.from_slack("<https://a.b|the docs>", prefer_links=True) == "https://a.b"


@pytest.mark.parametrize(
    "secret",
    ["xoxb-123456789012-abcdef", "ghp_" + "a" * 36, "sk-ant-api03-" + "x" * 30],
)
def test_credentials_are_redacted_in_every_text(secret: str) -> None:
    words = f"token {secret} end"

    for shown in (
        text.escape(words),
        text.code(words),
        texts.plain_line(words, 200),
        text.quote(words, 200),
    ):
        assert secret not in shown
    assert secret not in safe_markdown(words, 500)


def test_text_direction_marks_are_removed() -> None:
    assert text.escape("safe\u202egnp.exe") == "safegnp.exe"


def test_links_of_an_agent_show_where_they_lead() -> None:
    shown = safe_markdown("[good](https://evil.example) ![x](http://p.example/a.png)", 500)

    assert shown == "good (https://evil.example) x (http://p.example/a.png)"


def test_code_keeps_its_signs_in_markdown() -> None:
    assert safe_markdown("`a<b && c`", 100) == "`a<b && c`"
    assert safe_markdown("```\n<div> && x\n```", 100) == "```\n<div> && x\n```"


def test_an_open_fence_is_closed() -> None:
    assert safe_markdown("```python\nx = 1", 100) == "```\nx = 1\n```"


def test_markdown_becomes_mrkdwn() -> None:
    report = "# Done **well**\n\nIt is **bold**, *soft* and ~~gone~~.\n- [x] one\n- two\n---\n"

    assert to_mrkdwn(report, 500) == (
        "*Done well*\n\nIt is *bold*, _soft_ and ~gone~.\n☑ one\n• two\n"
    )


def test_the_first_words_of_a_report_exclude_its_headings() -> None:
    assert (
        first_words("## Summary\n\n**All** done & dusted.\nMore.", 80) == "All done &amp; dusted."
    )


@pytest.mark.parametrize(
    ("user_id", "shown"),
    [("U0ADA", "<@U0ADA>"), ("W1B2C3", "<@W1B2C3>"), ("U1><!channel>", "Ada"), (None, "Ada")],
)
def test_only_real_member_ids_become_mentions(user_id: str | None, shown: str) -> None:
    assert text.person(user_id, "Ada") == shown
