"""Slack's checks of the blocks of a message or view, and the ids that it adds.  Pure."""

import copy
import json
import secrets
import string
from collections.abc import Iterator
from typing import Any

from bot.sandbox.slack.blocks import charts
from bot.sandbox.slack.blocks.block_types import IN_MESSAGE, VIEWS
from bot.sandbox.slack.blocks.json_rules import add_error, array

Document = dict[str, Any]

MAX_MESSAGE_BLOCKS = 50
MAX_TEXT_CHARS = 40_000
MAX_UPDATE_CHARS = 4_000
MAX_VIEW_BYTES = 250_000

# Undocumented: Slack refused real messages from 11,341 to 13,297 characters on.
MAX_BLOCK_CHARS = 12_000

_ID_CHARACTERS = string.ascii_letters + string.digits + "+/"


def check_message(blocks: list[Document] | None, text: str | None) -> list[str]:
    """All of Slack's complaints about a message; empty if it would be posted in full."""
    errors: list[str] = []
    if not blocks and not text:
        add_error(errors, "/text", "no_text: give text, blocks or both")
    if text and len(text) > MAX_TEXT_CHARS:
        add_error(errors, "/text", f"message_truncated: cut after {MAX_TEXT_CHARS} characters")
    errors += check_blocks(blocks)
    if (total := count_characters(blocks)) > MAX_BLOCK_CHARS:
        add_error(
            errors, "/blocks", f"msg_blocks_too_long: {total} characters, at most {MAX_BLOCK_CHARS}"
        )
    return errors


def check_blocks(blocks: Any) -> list[str]:
    """All errors in the blocks of a message, apart from their total length."""
    errors: list[str] = []
    if blocks is None:
        return errors
    array(IN_MESSAGE, MAX_MESSAGE_BLOCKS)(blocks, "/blocks", errors)
    charts.check_number(blocks, "/blocks", errors)
    _check_ids(blocks, "/blocks", errors)
    return errors


def check_view(view: Any) -> list[str]:
    """All of Slack's complaints about a modal or a home tab."""
    errors: list[str] = []
    kind = view.get("type") if isinstance(view, dict) else None
    if not isinstance(kind, str) or kind not in VIEWS:
        add_error(errors, "/view/type", f"unsupported type: {kind}")
        return errors
    VIEWS[kind](view, "/view", errors)
    blocks = view.get("blocks")
    _check_ids(blocks, "/view/blocks", errors)
    if kind == "modal" and _has_inputs(blocks) and not view.get("submit"):
        add_error(errors, "/view", "missing required field: submit")
    return errors


def is_view_too_large(view: Document) -> bool:
    """Whether a view exceeds Slack's limit of 250 kB."""
    return len(json.dumps(view)) > MAX_VIEW_BYTES


def count_characters(blocks: Any) -> int:
    """Number of characters in all blocks, as counted for the limit of a message."""
    if isinstance(blocks, list):
        return sum(count_characters(item) for item in blocks)
    if isinstance(blocks, dict):
        total = 0
        for key, item in blocks.items():
            if isinstance(item, str):
                total += len(item) if key in ("text", "title", "caption", "alt_text") else 0
            elif key != "confirm":
                total += count_characters(item)
        return total
    return 0


def with_ids(blocks: list[Document]) -> list[Document]:
    """The blocks as Slack stores them: each block and element has an id."""
    stored = copy.deepcopy(blocks)
    for block in stored:
        if not block.get("block_id"):
            block["block_id"] = new_block_id()
        for element in elements(block):
            if not element.get("action_id"):
                element["action_id"] = new_block_id()
        _fill_emoji_default(block)
    return stored


def new_block_id() -> str:
    """An id in Slack's form."""
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(5))


def _fill_emoji_default(value: Any) -> None:
    """Set the default of `emoji`, as Slack does in its answers."""
    if isinstance(value, list):
        for item in value:
            _fill_emoji_default(item)
    elif isinstance(value, dict):
        if value.get("type") == "plain_text":
            value.setdefault("emoji", True)
        for item in value.values():
            _fill_emoji_default(item)


def elements(block: Document) -> Iterator[Document]:
    """The interactive elements of a block."""
    found = [block.get("accessory"), block.get("element"), *_list(block.get("elements"))]
    found += [item for child in _list(block.get("child_blocks")) for item in elements(child)]
    found += _list(block.get("actions"))
    for element in found:
        if isinstance(element, dict) and element.get("type") in _INTERACTIVE:
            yield element
        elif isinstance(element, dict) and element.get("type") == "card":
            yield from elements(element)


_INTERACTIVE = frozenset(
    {
        "button",
        "workflow_button",
        "icon_button",
        "feedback_buttons",
        "overflow",
        "checkboxes",
        "radio_buttons",
        "datepicker",
        "timepicker",
        "datetimepicker",
        "plain_text_input",
        "email_text_input",
        "url_text_input",
        "number_input",
        "rich_text_input",
        "file_input",
        *(
            prefix + kind
            for prefix in ("", "multi_")
            for kind in (
                "static_select",
                "external_select",
                "users_select",
                "conversations_select",
                "channels_select",
            )
        ),
    }
)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_ids(blocks: Any, pointer: str, errors: list[str]) -> None:
    """Check that block ids differ in a message or view, and action ids in a block."""
    seen_blocks: set[str] = set()
    for index, block in enumerate(_list(blocks)):
        if not isinstance(block, dict):
            continue
        block_id = block.get("block_id")
        if isinstance(block_id, str):
            if block_id in seen_blocks:
                add_error(
                    errors, f"{pointer}/{index}/block_id", f"`block_id` {block_id} already exists"
                )
            seen_blocks.add(block_id)
        seen_actions: set[str] = set()
        for element in elements(block):
            action_id = element.get("action_id")
            if isinstance(action_id, str):
                if action_id in seen_actions:
                    add_error(
                        errors, f"{pointer}/{index}", f"`action_id` {action_id} already exists"
                    )
                seen_actions.add(action_id)


def _has_inputs(blocks: Any) -> bool:
    return any(isinstance(each, dict) and each.get("type") == "input" for each in _list(blocks))
