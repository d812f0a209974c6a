from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web.dashboard.markdown import markdown

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>")
_ALLOWED = frozenset(
    {
        *("p", "br", "hr", "ul", "ol", "li", "h3", "h4", "h5", "h6", "strong", "em", "s", "code"),
        *("pre", "blockquote", "a", "table", "thead", "tbody", "tr", "th", "td"),
    }
)
_PIECES = st.sampled_from(
    [
        *(
            "# ",
            "- ",
            "1. ",
            "**",
            "_",
            "`",
            "```\n",
            "\n",
            "\n\n",
            "> ",
            "|",
            "---",
            "~~",
            "a",
            " ",
        ),
        *("<script>", "<img src=x onerror=alert(1)>", "</div>", "<!--", "&lt;", "javascript:x"),
        *("[a](javascript:alert(1))", "[a](//evil)", "![a](https://x/y.png)", "<https://a.b>"),
        *('[a](https://a.b "x" onclick=")', "[r]: data:text/html,x\n", "[r]", "\x00", "\u202e"),
    ]
)


def test_a_summary_is_shown_as_one() -> None:
    html = markdown("## Summary\n\n- `a.py`: **new**\n- [docs](https://example.com)\n")

    assert "<h4>Summary</h4>" in html
    assert "<li><code>a.py</code>: <strong>new</strong></li>" in html
    assert '<a href="https://example.com" rel="noopener noreferrer nofollow">docs</a>' in html


def test_nothing_is_an_empty_text() -> None:
    assert markdown(None) == ""


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[a](javascript:alert(1))",
        "[a](  JaVaScRiPt:alert(1))",
        "[a](data:text/html,x)",
        "[a](/sign-out)",
        "![a](https://evil.example/pixel.png)",
        "<img src=x onerror=alert(1)>",
    ],
)
def test_nothing_runs_loads_or_leads_into_the_dashboard(text: str) -> None:
    html = markdown(text)

    assert "<script" not in html
    assert "<img" not in html
    assert "href" not in html or 'href="https://' in html


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_any_text_gives_only_known_elements(text: str) -> None:
    html = str(markdown(text))

    for _, tag, attributes in _TAG.findall(html):
        assert tag in _ALLOWED, html
        assert re.fullmatch(
            r'(?: /| href="(?:https?|mailto):[^"]*"| title="[^"]*"| rel="[^"]*"| start="\d+"'
            r'| class="language-[^"]*")*',
            attributes,
        ), html
