"""The fields of the form of a subscription."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack import ids
from bot.slack.commands.alerts.form import ON
from bot.slack.commands.alerts.readers import Given, parse_member
from bot.slack.views import blocks
from bot.slack.views.message import Block
from bot.slack.views.modals import field as input_field
from bot.slack.views.modals import text_input

# Slack's limit.
_OPTION_LIMIT = 75


def text_field(
    block_id: str,
    label: str,
    placeholder: str,
    initial: str | None,
    *,
    hint: str | None = None,
    max_length: int = 20,
) -> Block:
    """A field for a short text that may stay empty."""
    element = text_input(placeholder, max_length=max_length, initial=(initial or "")[:max_length])
    return input_field(block_id, label, element, hint=hint, optional=True)


def select(options: Mapping[str, str], chosen: str, placeholder: str) -> dict[str, Any]:
    """A menu with an option for no restriction: Slack has no way to unchoose one."""
    made = {
        value: {"text": blocks.plain(label, _OPTION_LIMIT), "value": value}
        for value, label in options.items()
    }
    return {
        "type": "static_select",
        "action_id": ids.VALUE,
        "placeholder": blocks.plain(placeholder, 150),
        "options": list(made.values()),
        "initial_option": made[chosen],
    }


def person_select(placeholder: str, chosen: str | None) -> dict[str, Any]:
    """A choice of one person, which can be removed again."""
    element: dict[str, Any] = {
        "type": "multi_users_select",
        "action_id": ids.VALUE,
        "placeholder": blocks.plain(placeholder, 150),
        "max_selected_items": 1,
    }
    member = parse_member(Given(text="", raw=chosen)) if chosen else None
    if member is not None:
        element["initial_users"] = [member]
    return element


def broadcast_box(*, is_on: bool) -> dict[str, Any]:
    """The box that shows ends in the channel too."""
    option = {
        "text": blocks.plain("Show it in the channel too, not only in its thread", _OPTION_LIMIT),
        "value": ON,
    }
    element: dict[str, Any] = {
        "type": "checkboxes",
        "action_id": ids.VALUE,
        "options": [option],
    }
    if is_on:
        element["initial_options"] = [option]
    return element
