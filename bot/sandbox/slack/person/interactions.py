"""Finds the elements that a person uses, and computes what Slack sends about them.  Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.slack.blocks.block_check import elements
from bot.sandbox.slack.errors import ActionRefused

Document = dict[str, Any]

_STATE_KEY: Mapping[str, str] = {
    "plain_text_input": "value",
    "email_text_input": "value",
    "url_text_input": "value",
    "number_input": "value",
    "rich_text_input": "rich_text_value",
    "static_select": "selected_option",
    "external_select": "selected_option",
    "radio_buttons": "selected_option",
    "overflow": "selected_option",
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "multi_static_select": "selected_options",
    "multi_external_select": "selected_options",
    "checkboxes": "selected_options",
    "multi_users_select": "selected_users",
    "multi_conversations_select": "selected_conversations",
    "multi_channels_select": "selected_channels",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "file_input": "files",
}
"""The key of an element's value in the state."""

_INITIAL_KEY: Mapping[str, str] = {
    "value": "initial_value",
    "rich_text_value": "initial_value",
    "selected_option": "initial_option",
    "selected_options": "initial_options",
    "selected_user": "initial_user",
    "selected_users": "initial_users",
    "selected_conversation": "initial_conversation",
    "selected_conversations": "initial_conversations",
    "selected_channel": "initial_channel",
    "selected_channels": "initial_channels",
    "selected_date": "initial_date",
    "selected_time": "initial_time",
    "selected_date_time": "initial_date_time",
}

REQUIRED = "Please complete this required field."


@dataclass(frozen=True, kw_only=True)
class FoundElement:
    """An element on a screen, and the chosen option in it, if any."""

    block: Document
    element: Document
    option: Document | None = None


def find_element(
    blocks: list[Document],
    *,
    label: str | None = None,
    action_id: str | None = None,
    block_id: str | None = None,
) -> FoundElement:
    """The only element with this label (or with an option of this label) or this id.

    Raises:
        ActionRefused: `nothing_to_click`, if there is none or more than one.
    """
    found = list(_find_matching(blocks, label=label, action_id=action_id, block_id=block_id))
    if len(found) != 1:
        texts = ", ".join(repr(text) for text in labels(blocks))
        wanted_text = label or action_id or block_id
        raise ActionRefused(
            "nothing_to_click", f"{len(found)} elements are {wanted_text!r}; on the screen: {texts}"
        )
    return found[0]


def labels(blocks: list[Document]) -> list[str]:
    """The labels of everything that can be pressed, and of all options."""
    texts = []
    for block in blocks:
        for element in elements(block):
            if text := _text(element.get("text")):
                texts.append(text)
            texts += [_text(option["text"]) for option in options(element)]
    return texts


def _find_matching(
    blocks: list[Document], *, label: str | None, action_id: str | None, block_id: str | None
) -> Iterator[FoundElement]:
    for block in blocks:
        if block_id is not None and block.get("block_id") != block_id:
            continue
        for element in elements(block):
            if action_id is not None and element.get("action_id") != action_id:
                continue
            if label is None or _text(element.get("text")) == label:
                yield FoundElement(block=block, element=element)
                continue
            for option in options(element):
                if label in (_text(option["text"]), option["value"]):
                    yield FoundElement(block=block, element=element, option=option)


def options(element: Document) -> list[Document]:
    """The options of a menu, including those in groups."""
    found = list(element.get("options") or ())
    for group in element.get("option_groups") or ():
        found += group["options"]
    return found


def _text(value: Any) -> str:
    return str(value.get("text", "")) if isinstance(value, dict) else ""


def action_payload(
    found: FoundElement, *, action_ts: str, entered: Mapping[str, Any] | None = None
) -> Document:
    """One entry of `actions`: the element that was pressed or the choice that was made.

    Args:
        found: The element and option.
        action_ts: Time of the action.
        entered: Values from the screen: `value`, `selected_option`…
    """
    element = found.element
    payload: Document = {
        "action_id": element["action_id"],
        "block_id": found.block["block_id"],
        "type": element["type"],
        "action_ts": action_ts,
    }
    for key in ("text", "value", "style", "placeholder", "confirm", "url"):
        if key in element:
            payload[key] = element[key]
    for key in ("initial_option", "initial_options"):
        if key in element:
            payload[key] = element[key]
    if found.option is not None:
        key = _STATE_KEY[element["type"]]
        payload[key] = [found.option] if key == "selected_options" else found.option
    return payload | {key: value for key, value in (entered or {}).items() if value is not None}


def action_state(payload: Document) -> dict[str, dict[str, Document]]:
    """The part of a message's or view's state that an action sets; empty for a button."""
    key = _STATE_KEY.get(payload["type"])
    if key is None or payload["type"] == "overflow":
        return {}
    input_state = {"type": payload["type"], key: payload.get(key)}
    return {payload["block_id"]: {payload["action_id"]: input_state}}


def input_state(element: Document, value: Any) -> Document:
    """A person's entry into an element, in the form of the state.

    Args:
        element: The input element.
        value: Text, or an option's text or value, or a list of these, or an id.

    Raises:
        ActionRefused: `no_such_option`.
    """
    kind = element["type"]
    key = _STATE_KEY[kind]
    if key == "selected_option" and isinstance(value, str):
        value = _find_option(element, value)
    elif key == "selected_options" and isinstance(value, list | tuple):
        value = [_find_option(element, each) if isinstance(each, str) else each for each in value]
    return {"type": kind, key: value}


def _find_option(element: Document, wanted_text: str) -> Document:
    for option in options(element):
        if wanted_text in (_text(option["text"]), option["value"]):
            return option
    raise ActionRefused("no_such_option", wanted_text)


def inputs(blocks: list[Document]) -> Iterator[FoundElement]:
    """All elements of a view that hold a value."""
    for block in blocks:
        for element in elements(block):
            if element["type"] in _STATE_KEY and element["type"] != "overflow":
                yield FoundElement(block=block, element=element)


def view_state(
    blocks: list[Document], typed: Mapping[str, Mapping[str, Document]]
) -> dict[str, dict[str, Document]]:
    """The state of a view: the entered values, otherwise the initial ones, otherwise null."""
    state: dict[str, dict[str, Document]] = {}
    for found in inputs(blocks):
        block_id, action_id = found.block["block_id"], found.element["action_id"]
        kind = found.element["type"]
        key = _STATE_KEY[kind]
        value = (
            typed.get(block_id, {})
            .get(action_id, {})
            .get(key, found.element.get(_INITIAL_KEY.get(key, "")))
        )
        if value is None and key.endswith("s") and key != "files":
            value = []
        state.setdefault(block_id, {})[action_id] = {"type": kind, key: value or _empty(value)}
    return state


def _empty(value: Any) -> Any:
    return [] if value == [] else None


def validation_errors(
    blocks: list[Document], state: Mapping[str, Mapping[str, Document]]
) -> dict[str, str]:
    """The errors, by block, that Slack's client finds before it submits."""
    errors: dict[str, str] = {}
    for found in inputs(blocks):
        if found.block["type"] != "input":
            continue
        block_id, element = found.block["block_id"], found.element
        value = state[block_id][element["action_id"]].get(_STATE_KEY[element["type"]])
        if not value:
            if not found.block.get("optional"):
                errors[block_id] = REQUIRED
        elif isinstance(value, str) and (complaint := _value_error(element, value)):
            errors[block_id] = complaint
    return errors


def _value_error(element: Document, value: str) -> str | None:
    if element["type"] == "number_input":
        return _number_error(element, value)
    if len(value) > element.get("max_length", 3000):
        return f"Must be at most {element.get('max_length', 3000)} characters long."
    if len(value) < element.get("min_length", 0):
        return f"Must be at least {element['min_length']} characters long."
    return None


def _number_error(element: Document, value: str) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return "Must be a number."
    if not element.get("is_decimal_allowed") and not number.is_integer():
        return "Must be a whole number."
    if "min_value" in element and number < float(element["min_value"]):
        return f"Must be at least {element['min_value']}."
    if "max_value" in element and number > float(element["max_value"]):
        return f"Must be at most {element['max_value']}."
    return None
