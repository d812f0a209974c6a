import pytest

from bot.sandbox.plain_text import thread_text
from bot.sandbox.slack.people import ADA


def section(text: str) -> dict[str, object]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def test_markup_is_shown_as_a_person_sees_it() -> None:
    text = thread_text(
        [{"blocks": [section(f"<@{ADA}> at <!date^1^{{time}}|noon>, <https://x.invalid|here>")]}]
    )

    assert text == "@ada at noon, here"


def test_brackets_typed_by_people_are_unescaped() -> None:
    assert thread_text([{"blocks": [section("if a &lt; b &amp;&amp; c")]}]) == "if a < b && c"


def test_a_message_without_blocks_shows_its_text_and_files_their_titles() -> None:
    shown = thread_text([{"text": "plain"}, {"blocks": [], "files": [{"title": "report"}]}])

    assert shown.splitlines()[0] == "plain"
    assert shown.splitlines()[-1] == "[file: report]"


def test_buttons_fields_and_rich_text_become_lines() -> None:
    blocks = [
        {"type": "actions", "elements": [{"text": {"text": "Kill"}}, {"text": {"text": "Go"}}]},
        {"type": "section", "fields": [{"text": "*A*"}, {"text": "*B*"}]},
        {"type": "rich_text", "elements": [{"elements": [{"type": "text", "text": "rich"}]}]},
        {"type": "divider"},
    ]

    assert thread_text([{"blocks": blocks}]).splitlines() == [
        "[Kill] [Go]", "A", "B", "rich", "· · ·",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mrkdwn", "shown"),
    [
        ("*Owner*\n<@U1> _today_ ~not~", "Owner\n@U1 today not"),
        ("*_both_* and 2*3*4 and snake_case_name", "both and 2*3*4 and snake_case_name"),
        ("`*args` and __init__", "*args and __init__"),
        ("```\n*p = &amp;q;\n```", "*p = &q;"),
        ("not *\u200bbold*", "not *bold*"),
    ],
)
def test_mrkdwn_loses_its_marks_and_code_keeps_its_text(mrkdwn: str, shown: str) -> None:
    assert thread_text([{"blocks": [section(mrkdwn)]}]) == shown


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("## Summary\n\n- **done**: `a_b_c`", "Summary\n\n- done: a_b_c"),
        ("[docs](https://x.invalid/a) \\*literal\\*", "docs (https://x.invalid/a) *literal*"),
        ("```python\n**kwargs\n```", "**kwargs"),
    ],
)
def test_markdown_loses_its_marks_and_code_keeps_its_text(markdown: str, shown: str) -> None:
    assert thread_text([{"blocks": [{"type": "markdown", "text": markdown}]}]) == shown


def test_a_field_with_a_name_and_a_value_is_one_line() -> None:
    fields = [{"type": "mrkdwn", "text": "*Owner*\n@ada"}, {"type": "mrkdwn", "text": "*A*\n1\n2"}]

    shown = thread_text([{"blocks": [{"type": "section", "fields": fields}]}])

    assert shown.splitlines() == ["Owner: @ada", "A", "1", "2"]


def test_an_element_without_a_label_leaves_no_empty_brackets() -> None:
    blocks = [{"type": "actions", "elements": [{"text": {"text": "Go"}}, {"type": "overflow"}]}]

    assert thread_text([{"blocks": blocks}]) == "[Go]"
