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
        "[Kill] [Go]", "*A*", "*B*", "rich", "· · ·",
    ]  # fmt: skip
