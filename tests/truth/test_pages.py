"""The comparison of pages itself: a page that is true, and pages that are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.truth.check import differences
from tests.truth.pages import read_page
from tests.truth.test_checks import FIGURES, seen

_PAGE = f"""
<title>Not 9/50</title>
<dl class="figures run-figures">
<div><dt>Turns</dt>
<dd>4<span class="of">/50</span><progress value="4" max="50"></progress></dd></div>
<div><dt>Cost</dt><dd>$0.0090</dd></div>
<div><dt>Tool calls</dt><dd>7</dd></div>
<div><dt>Tokens in and out</dt><dd>{FIGURES.usage.total_tokens}</dd></div>
<div><dt>Changed</dt><dd>3 files <span class="of"><span>+14</span> <span>−3</span></span></dd></div>
</dl>
<div class="prose">Report 3: it works.<br>All tests pass.</div>
<dd>10 passed, 1 failed, 2 skipped</dd>
<ul class="changed"><li><code>1111111</code> Add 1</li><li><code>2222222</code> Aside</li></ul>
<td><span class="step-name">Task 1</span></td><td><span class="step-name">Task 2</span></td>
"""


def test_of_a_true_page_nothing_differs() -> None:
    assert differences(replace(seen(), page=read_page(_PAGE))) == []


@pytest.mark.parametrize(
    ("true", "wrong"),
    [
        ("4<span", "5<span"),
        ("/50", "/60"),
        ("$0.0090", "$0.01"),
        ("Cost<", "Cost, estimated<"),
        ("<dd>7", "<dd>8"),
        (str(FIGURES.usage.total_tokens), "1"),
        ("3 files", "2 files"),
        ("+14", "+15"),
        ("−3", "−4"),
        ("All tests pass.", ""),
        ("10 passed, 1 failed", "11 passed"),
        ("<code>2222222</code>", ""),
        ("Task 2", "Task 3"),
        ("run-figures", "figures"),
    ],
)
def test_every_figure_of_a_page_is_compared(true: str, wrong: str) -> None:
    assert true in _PAGE

    assert differences(replace(seen(), page=read_page(_PAGE.replace(true, wrong))))
