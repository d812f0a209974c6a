"""The sandbox's checks of blocks, compared with Slack's SDK and a generated schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft7Validator
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from bot.sandbox.slack.blocks.block_check import (
    check_blocks,
    check_message,
    check_view,
    count_characters,
    with_ids,
)
from tests.sandbox import SLACK_DATA

Document = dict[str, Any]


def plain(text: str) -> Document:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Document:
    return {"type": "mrkdwn", "text": text}


def button(text: str = "Kill", **more: Any) -> Document:
    return {"type": "button", "action_id": "kill", "text": plain(text), **more}


def section(text: str = "hello", **more: Any) -> Document:
    return {"type": "section", "text": mrkdwn(text), **more}


def actions(*elements: Document) -> Document:
    return {"type": "actions", "elements": list(elements)}


def menu(count: int = 2, **more: Any) -> Document:
    options = [{"text": plain(f"option {n}"), "value": f"v{n}"} for n in range(count)]
    return {"type": "static_select", "action_id": "pick", "options": options, **more}


def rich(*elements: Document) -> Document:
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": list(elements)}],
    }


CONFIRM = {
    "title": plain("Sure?"),
    "text": mrkdwn("It ends."),
    "confirm": plain("Kill"),
    "deny": plain("Keep"),
    "style": "danger",
}

GOOD: dict[str, Document] = {
    "actions": actions(button(style="danger", value="run_1", confirm=CONFIRM), menu()),
    "card": {"type": "card", "title": mrkdwn("Run"), "actions": [button()]},
    "context": {
        "type": "context",
        "elements": [
            mrkdwn("a"),
            plain("b"),
            {"type": "image", "image_url": "https://a.example/x.png", "alt_text": "x"},
        ],
    },
    "context_actions": {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "rate",
                "positive_button": {"text": plain("Good"), "value": "1"},
                "negative_button": {"text": plain("Bad"), "value": "0"},
            }
        ],
    },
    "divider": {"type": "divider"},
    "fields": {"type": "section", "fields": [mrkdwn("*State*\nrunning"), plain("x")]},
    "header": {"type": "header", "text": plain("Deploy")},
    "image": {"type": "image", "image_url": "https://a.example/x.png", "alt_text": "x"},
    "input": {
        "type": "input",
        "label": plain("Task"),
        "element": {"type": "plain_text_input", "action_id": "task", "multiline": True},
    },
    "markdown": {"type": "markdown", "text": "**b**"},
    "menu": section(accessory=menu(initial_option={"text": plain("option 0"), "value": "v0"})),
    "number": {
        "type": "input",
        "label": plain("Turns"),
        "element": {
            "type": "number_input",
            "action_id": "turns",
            "is_decimal_allowed": False,
            "min_value": "1",
            "initial_value": "5",
        },
    },
    "overflow": section(accessory={**menu(2), "type": "overflow"}),
    "plan": {
        "type": "plan",
        "title": "Steps",
        "tasks": [
            {"type": "task_card", "task_id": "1", "title": "Read", "status": "complete"},
            {"type": "task_card", "task_id": "2", "title": "Write", "status": "pending"},
        ],
    },
    "rich_text": rich(
        {"type": "text", "text": "a", "style": {"bold": True}},
        {"type": "user", "user_id": "U1"},
        {"type": "link", "url": "https://a.example", "text": "b"},
    ),
    "section": section(expand=True, block_id="one"),
    "table": {
        "type": "table",
        "rows": [[{"type": "raw_text", "text": "a"}], [{"type": "raw_text", "text": "b"}]],
        "column_settings": [{"align": "right"}],
    },
}

BAD: dict[str, Document] = {
    "a block without a type": {"text": plain("x")},
    "a block of an unknown type": {"type": "hologram"},
    "a button of an unknown style": actions(button(style="green")),
    "a button text that is mrkdwn": actions({**button(), "text": mrkdwn("x")}),
    "a button without text": actions({"type": "button", "action_id": "x"}),
    "a choice without options": actions({"type": "static_select", "action_id": "x"}),
    "a confirm dialog without text": actions(button(confirm={"title": plain("x")})),
    "a header of mrkdwn": {"type": "header", "text": mrkdwn("x")},
    "a key Slack does not know": section(colour="red"),
    "a section without text": {"type": "section"},
    "a select in a context": {"type": "context", "elements": [menu()]},
    "a task without a state": {"type": "plan", "title": "x", "tasks": [{"type": "task_card"}]},
    "a text input outside an input block": actions({"type": "plain_text_input", "action_id": "x"}),
    "a text that is no object": {"type": "section", "text": "hello"},
    "actions without elements": {"type": "actions"},
    "an emoji mark on mrkdwn": {"type": "section", "text": {**mrkdwn("x"), "emoji": True}},
    "an image without alt text": {"type": "image", "image_url": "https://a.example/x.png"},
    "an input without label": {"type": "input", "element": menu()},
    "fields that are no list": {"type": "section", "fields": mrkdwn("x")},
    "rich text with a wrong style": rich({"type": "text", "text": "a", "style": "bold"}),
}

TOO_MUCH: dict[str, Document] = {
    "a button text": actions(button("x" * 76)),
    "a button value": actions(button(value="x" * 2001)),
    "a confirm title": actions(button(confirm={**CONFIRM, "title": plain("x" * 101)})),
    "a header": {"type": "header", "text": plain("x" * 151)},
    "a markdown block": {"type": "markdown", "text": "x" * 12_001},
    "a menu of options": actions(menu(101)),
    "a placeholder": actions(menu(placeholder=plain("x" * 151))),
    "a section text": section("x" * 3001),
    "actions": actions(*(button() | {"action_id": f"a{n}"} for n in range(26))),
    "an action id": actions({**button(), "action_id": "x" * 256}),
    "an option text": actions(menu() | {"options": [{"text": plain("x" * 76), "value": "v"}]}),
    "an overflow menu": section(accessory={**menu(6), "type": "overflow"}),
    "context elements": {"type": "context", "elements": [mrkdwn("x")] * 11},
    "fields": {"type": "section", "fields": [mrkdwn("x")] * 11},
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_block_passes(name: str) -> None:
    assert check_message([GOOD[name]], "text") == []


@pytest.mark.parametrize("name", [*BAD, *TOO_MUCH])
def test_a_bad_block_is_refused_with_a_pointer(name: str) -> None:
    errors = check_message([{**BAD, **TOO_MUCH}[name]], "text")

    assert errors
    assert all("[json-pointer:/blocks/0" in error for error in errors[:1])


def test_every_block_and_element_gets_an_id() -> None:
    stored = with_ids([*GOOD.values()])

    assert all(block["block_id"] for block in stored)
    assert "block_id" not in GOOD["divider"]


def test_an_empty_message_is_refused() -> None:
    assert "no_text" in check_message(None, "")[0]


def test_more_than_fifty_blocks_are_refused() -> None:
    assert check_blocks([section()] * 50) == []
    assert check_blocks([section()] * 51) == [
        "no more than 50 items allowed [json-pointer:/blocks]"
    ]


def test_the_text_of_all_blocks_together_is_capped() -> None:
    five = [section("x" * 2500)] * 5

    assert check_blocks(five) == []
    assert count_characters(five) == 12_500
    assert "msg_blocks_too_long" in check_message(five, "x")[0]


def test_a_duplicate_id_is_refused() -> None:
    assert "already exists" in check_blocks([section(block_id="a"), section(block_id="a")])[0]
    assert "already exists" in check_blocks([actions(button(), button())])[0]


def modal(**more: Any) -> Document:
    return {"type": "modal", "title": plain("Run"), "blocks": [section()], **more}


def test_a_good_view_passes() -> None:
    assert check_view(modal(submit=plain("Go"), close=plain("No"), private_metadata="{}")) == []
    assert check_view({"type": "home", "blocks": [section()] * 100}) == []


@pytest.mark.parametrize(
    "view",
    [
        modal(title=plain("x" * 25)),
        modal(private_metadata="x" * 3001),
        modal(blocks=[section()] * 101),
        modal(blocks=[GOOD["input"]]),
        modal(colour="red"),
        modal(submit=mrkdwn("Go")),
        {"type": "home"},
        {"type": "home", "blocks": [], "title": plain("x")},
        {"type": "window", "blocks": []},
        {"type": "modal", "blocks": []},
        "modal",
    ],
)
def test_a_bad_view_is_refused(view: Any) -> None:
    assert check_view(view)


def _schema(name: str) -> Callable[[Document], bool]:
    path = SLACK_DATA / name
    if not path.is_file():
        pytest.skip("the recorded data of Slack is not available")
    validator = Draft7Validator(json.loads(path.read_text(encoding="utf-8")))
    return lambda document: bool(validator.is_valid(document))


def test_the_generated_schema_agrees_on_the_shape_of_blocks() -> None:
    is_valid = _schema("blockkit.schema.json")

    assert [name for name, block in GOOD.items() if not is_valid(block)] == []
    # A schema of types cannot express "one of these two".
    assert {name for name, block in BAD.items() if is_valid(block)} <= {
        "a choice without options",
        "a section without text",
        "a task without a state",
    }


def test_what_the_generated_schema_refuses_is_refused_here_too() -> None:
    is_valid = _schema("blockkit.schema.json")

    missed = [
        (name, broken)
        for name, block in GOOD.items()
        for broken in _broken(block)
        if not is_valid(broken) and not check_blocks([broken])
    ]

    assert missed == []


def _broken(value: Any) -> list[Any]:
    """Copies of the value with one part removed, added or changed to another type."""
    made: list[Any] = []
    if isinstance(value, dict):
        made.append({**value, "surprise": 1})
        for key, item in value.items():
            made.append({other: each for other, each in value.items() if other != key})
            made.append({**value, key: 7 if isinstance(item, str | bool) else "seven"})
            made += [{**value, key: inner} for inner in _broken(item)]
    elif isinstance(value, list):
        for index, item in enumerate(value):
            made += [[*value[:index], inner, *value[index + 1 :]] for inner in _broken(item)]
    return made


def test_the_sdk_agrees_on_its_length_limits() -> None:
    for name, block in GOOD.items():
        parsed = Block.parse(block)
        assert parsed is not None, name
        parsed.to_dict()
    refused = []
    for name, block in TOO_MUCH.items():
        try:
            parsed = Block.parse(block)
            assert parsed is not None
            parsed.to_dict()
        except SlackObjectFormationError:
            refused.append(name)

    # The SDK does not check the text of an option inside a menu.
    assert set(TOO_MUCH) - set(refused) <= {"an option text", "a placeholder"}


def test_the_generated_schema_agrees_on_views() -> None:
    is_valid = _schema("view.schema.json")

    assert is_valid(modal(submit=plain("Go")))
    assert is_valid({"type": "home", "blocks": [section()]})
    assert not is_valid(modal(colour="red"))
    assert not is_valid({"type": "modal", "blocks": []})
