"""The interactive elements of Block Kit: buttons, menus, inputs.  Pure."""

from collections.abc import Mapping

from bot.sandbox.slack.blocks.json_rules import (
    Rule,
    array,
    boolean,
    number,
    object_with,
    one_of,
    string,
    type_is,
)
from bot.sandbox.slack.blocks.texts import (
    COLOR,
    CONFIRM,
    ID,
    OPTION,
    OPTION_GROUP,
    PLAIN_OPTION,
    RICH_TEXT,
    URL,
    plain,
)

_LABEL = string(75)
_VALUE = string(2000)
_PLACEHOLDER = plain(150)
_DISPATCH_CONFIG = object_with(
    {}, {"trigger_actions_on": array(one_of("on_enter_pressed", "on_character_entered"), 2)}
)
_FILTER = object_with(
    {},
    {
        "include": array(one_of("im", "mpim", "private", "public"), 4, minimum=1),
        "exclude_external_shared_channels": boolean,
        "exclude_bot_users": boolean,
    },
)
_MENU_FIELDS: Mapping[str, Rule] = {
    "action_id": ID,
    "confirm": CONFIRM,
    "focus_on_load": boolean,
    "placeholder": _PLACEHOLDER,
}
_INPUT_FIELDS: Mapping[str, Rule] = {
    "action_id": ID,
    "dispatch_action_config": _DISPATCH_CONFIG,
    "focus_on_load": boolean,
    "placeholder": _PLACEHOLDER,
}
_OPTION_FIELDS: Mapping[str, Rule] = {
    "options": array(PLAIN_OPTION, 100, minimum=1),
    "option_groups": array(OPTION_GROUP, 100, minimum=1),
}
_CHOICE_FIELDS: Mapping[str, Rule] = {"action_id": ID, "confirm": CONFIRM, "focus_on_load": boolean}
_MAX_SELECTED = number(1)


def _menu(
    kind: str, extra: Mapping[str, Rule] | None = None, *, at_least_one_of: tuple[str, ...] = ()
) -> Rule:
    return object_with(
        {"type": type_is(kind)}, {**_MENU_FIELDS, **(extra or {})}, at_least_one_of=at_least_one_of
    )


def _text_input(
    kind: str, extra: Mapping[str, Rule], required: Mapping[str, Rule] | None = None
) -> Rule:
    return object_with({"type": type_is(kind), **(required or {})}, {**_INPUT_FIELDS, **extra})


_BUTTON = {
    "action_id": ID,
    "accessibility_label": _LABEL,
    "confirm": CONFIRM,
    "style": COLOR,
}

BUTTON = object_with(
    {"type": type_is("button"), "text": plain(75)}, {**_BUTTON, "url": URL, "value": _VALUE}
)

SELECTS: Mapping[str, Rule] = {
    "static_select": _menu(
        "static_select",
        {**_OPTION_FIELDS, "initial_option": PLAIN_OPTION},
        at_least_one_of=("options", "option_groups"),
    ),
    "external_select": _menu(
        "external_select", {"initial_option": PLAIN_OPTION, "min_query_length": number(0)}
    ),
    "users_select": _menu("users_select", {"initial_user": ID}),
    "conversations_select": _menu(
        "conversations_select",
        {
            "initial_conversation": ID,
            "default_to_current_conversation": boolean,
            "response_url_enabled": boolean,
            "filter": _FILTER,
        },
    ),
    "channels_select": _menu(
        "channels_select", {"initial_channel": ID, "response_url_enabled": boolean}
    ),
    "multi_static_select": _menu(
        "multi_static_select",
        {
            **_OPTION_FIELDS,
            "initial_options": array(PLAIN_OPTION, 100, minimum=1),
            "max_selected_items": _MAX_SELECTED,
        },
        at_least_one_of=("options", "option_groups"),
    ),
    "multi_external_select": _menu(
        "multi_external_select",
        {
            "initial_options": array(PLAIN_OPTION, 100, minimum=1),
            "min_query_length": number(0),
            "max_selected_items": _MAX_SELECTED,
        },
    ),
    "multi_users_select": _menu(
        "multi_users_select", {"initial_users": array(ID, 100), "max_selected_items": _MAX_SELECTED}
    ),
    "multi_conversations_select": _menu(
        "multi_conversations_select",
        {
            "initial_conversations": array(ID, 100),
            "default_to_current_conversation": boolean,
            "max_selected_items": _MAX_SELECTED,
            "filter": _FILTER,
        },
    ),
    "multi_channels_select": _menu(
        "multi_channels_select",
        {"initial_channels": array(ID, 100), "max_selected_items": _MAX_SELECTED},
    ),
}

_CHOICE_ELEMENTS: Mapping[str, Rule] = {
    **SELECTS,
    "checkboxes": object_with(
        {"type": type_is("checkboxes"), "options": array(OPTION, 10, minimum=1)},
        {**_CHOICE_FIELDS, "initial_options": array(OPTION, 10, minimum=1)},
    ),
    "radio_buttons": object_with(
        {"type": type_is("radio_buttons"), "options": array(OPTION, 10, minimum=1)},
        {**_CHOICE_FIELDS, "initial_option": OPTION},
    ),
    "datepicker": _menu("datepicker", {"initial_date": string(10, pattern=r"\d{4}-\d\d-\d\d")}),
    "timepicker": _menu(
        "timepicker",
        {"initial_time": string(5, pattern=r"([01]\d|2[0-3]):[0-5]\d"), "timezone": string(100)},
    ),
}

_DATETIME = object_with(
    {"type": type_is("datetimepicker")},
    # Slack accepts ten digits: seconds, not milliseconds.
    {**_CHOICE_FIELDS, "initial_date_time": number(1_000_000_000, 9_999_999_999)},
)

_RICH_INPUT = _text_input(
    "rich_text_input",
    {"initial_value": RICH_TEXT, "min_lines": number(1), "max_lines": number(1)},
)

_PRESSABLE: Mapping[str, Rule] = {
    "button": BUTTON,
    "overflow": object_with(
        {"type": type_is("overflow"), "options": array(PLAIN_OPTION, 5, minimum=1)},
        {"action_id": ID, "confirm": CONFIRM},
    ),
    "workflow_button": object_with(
        {
            "type": type_is("workflow_button"),
            "text": plain(75),
            "workflow": object_with(
                {
                    "trigger": object_with(
                        {"url": URL},
                        {
                            "customizable_input_parameters": array(
                                object_with({"name": string(255), "value": string(3000)}), 100
                            )
                        },
                    )
                }
            ),
        },
        _BUTTON,
    ),
}

IN_ACTIONS: Mapping[str, Rule] = {
    **_PRESSABLE,
    **_CHOICE_ELEMENTS,
    "datetimepicker": _DATETIME,
    "rich_text_input": _RICH_INPUT,
}

IN_SECTION: Mapping[str, Rule] = {**_PRESSABLE, **_CHOICE_ELEMENTS}

IN_INPUT: Mapping[str, Rule] = {
    **_CHOICE_ELEMENTS,
    "datetimepicker": _DATETIME,
    "rich_text_input": _RICH_INPUT,
    "plain_text_input": _text_input(
        "plain_text_input",
        {
            "initial_value": string(3000),
            "multiline": boolean,
            "min_length": number(0, 3000),
            "max_length": number(1, 3000),
        },
    ),
    "email_text_input": _text_input("email_text_input", {"initial_value": string(3000)}),
    "url_text_input": _text_input("url_text_input", {"initial_value": string(3000)}),
    "number_input": _text_input(
        "number_input",
        {"initial_value": string(100), "min_value": string(100), "max_value": string(100)},
        {"is_decimal_allowed": boolean},
    ),
    "file_input": object_with(
        {"type": type_is("file_input")},
        {"action_id": ID, "filetypes": array(string(50), 100), "max_files": number(1, 10)},
    ),
}

_FEEDBACK = object_with({"text": plain(75), "value": _VALUE}, {"accessibility_label": _LABEL})

IN_CONTEXT_ACTIONS: Mapping[str, Rule] = {
    "feedback_buttons": object_with(
        {
            "type": type_is("feedback_buttons"),
            "positive_button": _FEEDBACK,
            "negative_button": _FEEDBACK,
        },
        {"action_id": ID},
    ),
    "icon_button": object_with(
        {"type": type_is("icon_button"), "text": plain(75), "icon": string(50, minimum=1)},
        {
            "action_id": ID,
            "accessibility_label": _LABEL,
            "confirm": CONFIRM,
            "value": _VALUE,
            "visible_to_user_ids": array(ID, 100),
        },
    ),
}
