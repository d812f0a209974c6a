"""The interactive elements of Block Kit: buttons, menus, inputs.  Pure."""

from collections.abc import Mapping

from bot.sandbox.slack.blocks.shapes import (
    Rule,
    boolean,
    kind_of,
    listing,
    number,
    one_of,
    shape,
    string,
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
_DISPATCH = shape(
    {}, {"trigger_actions_on": listing(one_of("on_enter_pressed", "on_character_entered"), 2)}
)
_FILTER = shape(
    {},
    {
        "include": listing(one_of("im", "mpim", "private", "public"), 4, least=1),
        "exclude_external_shared_channels": boolean,
        "exclude_bot_users": boolean,
    },
)
_MENU: Mapping[str, Rule] = {
    "action_id": ID,
    "confirm": CONFIRM,
    "focus_on_load": boolean,
    "placeholder": _PLACEHOLDER,
}
_TYPED: Mapping[str, Rule] = {
    "action_id": ID,
    "dispatch_action_config": _DISPATCH,
    "focus_on_load": boolean,
    "placeholder": _PLACEHOLDER,
}
_CHOICE: Mapping[str, Rule] = {
    "options": listing(PLAIN_OPTION, 100, least=1),
    "option_groups": listing(OPTION_GROUP, 100, least=1),
}
_BOXES: Mapping[str, Rule] = {"action_id": ID, "confirm": CONFIRM, "focus_on_load": boolean}
_MANY = number(1)


def _menu(
    kind: str, own: Mapping[str, Rule] | None = None, *, one_from: tuple[str, ...] = ()
) -> Rule:
    return shape({"type": kind_of(kind)}, {**_MENU, **(own or {})}, one_from=one_from)


def _typed(kind: str, own: Mapping[str, Rule], required: Mapping[str, Rule] | None = None) -> Rule:
    return shape({"type": kind_of(kind), **(required or {})}, {**_TYPED, **own})


_BUTTON = {
    "action_id": ID,
    "accessibility_label": _LABEL,
    "confirm": CONFIRM,
    "style": COLOR,
}

BUTTON = shape(
    {"type": kind_of("button"), "text": plain(75)}, {**_BUTTON, "url": URL, "value": _VALUE}
)

SELECTS: Mapping[str, Rule] = {
    "static_select": _menu(
        "static_select",
        {**_CHOICE, "initial_option": PLAIN_OPTION},
        one_from=("options", "option_groups"),
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
            **_CHOICE,
            "initial_options": listing(PLAIN_OPTION, 100, least=1),
            "max_selected_items": _MANY,
        },
        one_from=("options", "option_groups"),
    ),
    "multi_external_select": _menu(
        "multi_external_select",
        {
            "initial_options": listing(PLAIN_OPTION, 100, least=1),
            "min_query_length": number(0),
            "max_selected_items": _MANY,
        },
    ),
    "multi_users_select": _menu(
        "multi_users_select", {"initial_users": listing(ID, 100), "max_selected_items": _MANY}
    ),
    "multi_conversations_select": _menu(
        "multi_conversations_select",
        {
            "initial_conversations": listing(ID, 100),
            "default_to_current_conversation": boolean,
            "max_selected_items": _MANY,
            "filter": _FILTER,
        },
    ),
    "multi_channels_select": _menu(
        "multi_channels_select", {"initial_channels": listing(ID, 100), "max_selected_items": _MANY}
    ),
}

_BOXES_AND_MENUS: Mapping[str, Rule] = {
    **SELECTS,
    "checkboxes": shape(
        {"type": kind_of("checkboxes"), "options": listing(OPTION, 10, least=1)},
        {**_BOXES, "initial_options": listing(OPTION, 10, least=1)},
    ),
    "radio_buttons": shape(
        {"type": kind_of("radio_buttons"), "options": listing(OPTION, 10, least=1)},
        {**_BOXES, "initial_option": OPTION},
    ),
    "datepicker": _menu("datepicker", {"initial_date": string(10, form=r"\d{4}-\d\d-\d\d")}),
    "timepicker": _menu(
        "timepicker",
        {"initial_time": string(5, form=r"([01]\d|2[0-3]):[0-5]\d"), "timezone": string(100)},
    ),
}

_DATETIME = shape(
    {"type": kind_of("datetimepicker")},
    # Slack takes ten digits: seconds, not milliseconds.
    {**_BOXES, "initial_date_time": number(1_000_000_000, 9_999_999_999)},
)

_RICH_INPUT = _typed(
    "rich_text_input",
    {"initial_value": RICH_TEXT, "min_lines": number(1), "max_lines": number(1)},
)

_PRESSED: Mapping[str, Rule] = {
    "button": BUTTON,
    "overflow": shape(
        {"type": kind_of("overflow"), "options": listing(PLAIN_OPTION, 5, least=1)},
        {"action_id": ID, "confirm": CONFIRM},
    ),
    "workflow_button": shape(
        {
            "type": kind_of("workflow_button"),
            "text": plain(75),
            "workflow": shape(
                {
                    "trigger": shape(
                        {"url": URL},
                        {
                            "customizable_input_parameters": listing(
                                shape({"name": string(255), "value": string(3000)}), 100
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
    **_PRESSED,
    **_BOXES_AND_MENUS,
    "datetimepicker": _DATETIME,
    "rich_text_input": _RICH_INPUT,
}

IN_SECTION: Mapping[str, Rule] = {**_PRESSED, **_BOXES_AND_MENUS}

IN_INPUT: Mapping[str, Rule] = {
    **_BOXES_AND_MENUS,
    "datetimepicker": _DATETIME,
    "rich_text_input": _RICH_INPUT,
    "plain_text_input": _typed(
        "plain_text_input",
        {
            "initial_value": string(3000),
            "multiline": boolean,
            "min_length": number(0, 3000),
            "max_length": number(1, 3000),
        },
    ),
    "email_text_input": _typed("email_text_input", {"initial_value": string(3000)}),
    "url_text_input": _typed("url_text_input", {"initial_value": string(3000)}),
    "number_input": _typed(
        "number_input",
        {"initial_value": string(100), "min_value": string(100), "max_value": string(100)},
        {"is_decimal_allowed": boolean},
    ),
    "file_input": shape(
        {"type": kind_of("file_input")},
        {"action_id": ID, "filetypes": listing(string(50), 100), "max_files": number(1, 10)},
    ),
}

_FEEDBACK = shape({"text": plain(75), "value": _VALUE}, {"accessibility_label": _LABEL})

IN_CONTEXT_ACTIONS: Mapping[str, Rule] = {
    "feedback_buttons": shape(
        {
            "type": kind_of("feedback_buttons"),
            "positive_button": _FEEDBACK,
            "negative_button": _FEEDBACK,
        },
        {"action_id": ID},
    ),
    "icon_button": shape(
        {"type": kind_of("icon_button"), "text": plain(75), "icon": string(50, least=1)},
        {
            "action_id": ID,
            "accessibility_label": _LABEL,
            "confirm": CONFIRM,
            "value": _VALUE,
            "visible_to_user_ids": listing(ID, 100),
        },
    ),
}
