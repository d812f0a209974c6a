"""The blocks of Block Kit that messages, modals and the home tab may contain.  Pure."""

from collections.abc import Mapping

from bot.sandbox.slack.blocks import charts
from bot.sandbox.slack.blocks.elements import BUTTON, IN_ACTIONS, IN_CONTEXT_ACTIONS, IN_INPUT
from bot.sandbox.slack.blocks.elements import IN_SECTION as IN_SECTION_ONLY
from bot.sandbox.slack.blocks.json_rules import (
    Rule,
    array,
    boolean,
    by_type,
    lazy,
    number,
    object_with,
    one_of,
    string,
    type_is,
)
from bot.sandbox.slack.blocks.texts import ID, RICH_TEXT, URL, mrkdwn, plain, text_object

_BLOCK: Mapping[str, Rule] = {"block_id": ID}
_ALT = string(2000, minimum=1)
_SLACK_FILE = object_with({}, {"id": ID, "url": URL}, at_least_one_of=("id", "url"))

_IMAGE_ELEMENT = object_with(
    {"type": type_is("image"), "alt_text": _ALT},
    {"image_url": URL, "slack_file": _SLACK_FILE},
    at_least_one_of=("image_url", "slack_file"),
)
_IMAGE = by_type({"image": _IMAGE_ELEMENT})

_RAW_TEXT = object_with({"type": type_is("raw_text"), "text": string(3000)})
_RAW_NUMBER = object_with(
    {"type": type_is("raw_number"), "value": number()}, {"text": string(3000)}
)
_CELL = by_type({"raw_text": _RAW_TEXT, "raw_number": _RAW_NUMBER, "rich_text": RICH_TEXT})

_CARD = object_with(
    {"type": type_is("card")},
    {
        **_BLOCK,
        "title": mrkdwn(150),
        "subtitle": mrkdwn(150),
        "body": mrkdwn(200),
        "icon": _IMAGE,
        "hero_image": _IMAGE,
        "actions": array(by_type({"button": BUTTON}), 3),
    },
    at_least_one_of=("title", "subtitle", "body", "hero_image", "actions"),
)


def _task_card(*states: str) -> Rule:
    return object_with(
        {
            "type": type_is("task_card"),
            "task_id": ID,
            "title": string(256, minimum=1),
            "status": one_of(*states),
        },
        {
            **_BLOCK,
            "details": by_type({"rich_text": RICH_TEXT}),
            "output": by_type({"rich_text": RICH_TEXT}),
            "sources": array(
                by_type(
                    {"url": object_with({"type": type_is("url"), "url": URL, "text": string(255)})}
                ),
                50,
            ),
        },
    )


# As in Slack's own example: a task that has not begun exists only inside a plan.
_PLAN_TASK = _task_card("pending", "in_progress", "complete", "error")

_IN_CONTAINER = (
    "actions",
    "context",
    "divider",
    "file",
    "header",
    "image",
    "input",
    "rich_text",
    "section",
    "table",
    "video",
)


def _in_container() -> Rule:
    return by_type({kind: BLOCKS[kind] for kind in _IN_CONTAINER})


BLOCKS: Mapping[str, Rule] = {
    "actions": object_with(
        {
            "type": type_is("actions"),
            "elements": array(by_type(IN_ACTIONS), 25, minimum=1),
        },
        _BLOCK,
    ),
    "alert": object_with(
        {"type": type_is("alert"), "text": text_object(200)},
        {**_BLOCK, "level": one_of("default", "info", "warning", "error", "success")},
    ),
    "card": _CARD,
    "carousel": object_with(
        {"type": type_is("carousel"), "elements": array(by_type({"card": _CARD}), 10, minimum=1)},
        _BLOCK,
    ),
    "container": object_with(
        {"type": type_is("container"), "child_blocks": array(lazy(_in_container), 10, minimum=1)},
        {
            **_BLOCK,
            "title": plain(150),
            "rich_text_title": by_type({"rich_text": RICH_TEXT}),
            "subtitle": text_object(150),
            "icon": _IMAGE,
            "is_collapsible": boolean,
            "default_collapsed": boolean,
            "has_header_divider": boolean,
            "width": one_of("narrow", "standard", "wide", "full"),
        },
    ),
    "context": object_with(
        {
            "type": type_is("context"),
            "elements": array(
                by_type(
                    {
                        "image": _IMAGE_ELEMENT,
                        "plain_text": plain(3000),
                        "mrkdwn": mrkdwn(3000),
                    }
                ),
                10,
                minimum=1,
            ),
        },
        _BLOCK,
    ),
    "context_actions": object_with(
        {
            "type": type_is("context_actions"),
            "elements": array(by_type(IN_CONTEXT_ACTIONS), 5, minimum=1),
        },
        _BLOCK,
    ),
    "data_table": object_with(
        {
            "type": type_is("data_table"),
            "caption": string(255, minimum=1),
            "rows": array(array(_CELL, 20, minimum=1), 201, minimum=1),
        },
        {**_BLOCK, "page_size": number(1), "row_header_column_index": number(0, 19)},
    ),
    charts.KIND: charts.CHART,
    "divider": object_with({"type": type_is("divider")}, _BLOCK),
    "file": object_with(
        {
            "type": type_is("file"),
            "external_id": string(255, minimum=1),
            "source": one_of("remote"),
        },
        _BLOCK,
    ),
    "header": object_with({"type": type_is("header"), "text": plain(150)}, _BLOCK),
    "image": object_with(
        {"type": type_is("image"), "alt_text": _ALT},
        {**_BLOCK, "title": plain(2000), "image_url": URL, "slack_file": _SLACK_FILE},
        at_least_one_of=("image_url", "slack_file"),
    ),
    "input": object_with(
        {"type": type_is("input"), "label": plain(2000), "element": by_type(IN_INPUT)},
        {**_BLOCK, "hint": plain(2000), "optional": boolean, "dispatch_action": boolean},
    ),
    "markdown": object_with(
        {"type": type_is("markdown"), "text": string(12_000, minimum=1)}, _BLOCK
    ),
    "plan": object_with(
        {"type": type_is("plan"), "title": string(256, minimum=1)},
        {**_BLOCK, "tasks": array(by_type({"task_card": _PLAN_TASK}), 50)},
    ),
    "rich_text": RICH_TEXT,
    "section": object_with(
        {"type": type_is("section")},
        {
            **_BLOCK,
            "text": text_object(3000),
            "fields": array(text_object(2000), 10, minimum=1),
            "accessory": by_type({**IN_SECTION_ONLY, "image": _IMAGE_ELEMENT}),
            "expand": boolean,
        },
        at_least_one_of=("text", "fields"),
    ),
    "table": object_with(
        {
            "type": type_is("table"),
            "rows": array(array(_CELL, 20, minimum=1), 100, minimum=1),
        },
        {
            **_BLOCK,
            "column_settings": array(
                object_with(
                    {}, {"align": one_of("left", "center", "right"), "is_wrapped": boolean}
                ),
                20,
            ),
        },
    ),
    "task_card": _task_card("in_progress", "complete", "error"),
    "video": object_with(
        {
            "type": type_is("video"),
            "alt_text": _ALT,
            "title": plain(200),
            "video_url": URL,
            "thumbnail_url": URL,
        },
        {
            **_BLOCK,
            "author_name": string(50),
            "description": plain(200),
            "provider_icon_url": URL,
            "provider_name": string(50),
            "title_url": URL,
        },
    ),
}

# Blocks for streams and agents are refused in modals and the home tab.
_NOT_IN_VIEWS = frozenset(
    {charts.KIND, "context_actions", "data_table", "markdown", "plan", "table", "task_card"}
)
IN_MESSAGE: Rule = by_type({kind: rule for kind, rule in BLOCKS.items() if kind != "alert"})
IN_VIEW: Rule = by_type({kind: rule for kind, rule in BLOCKS.items() if kind not in _NOT_IN_VIEWS})

VIEWS: Mapping[str, Rule] = {
    "modal": object_with(
        {
            "type": type_is("modal"),
            "title": plain(24),
            "blocks": array(IN_VIEW, 100),
        },
        {
            "submit": plain(24),
            "close": plain(24),
            "private_metadata": string(3000),
            "callback_id": string(255),
            "external_id": string(255),
            "clear_on_close": boolean,
            "notify_on_close": boolean,
            "submit_disabled": boolean,
        },
    ),
    "home": object_with(
        {"type": type_is("home"), "blocks": array(IN_VIEW, 100)},
        {
            "private_metadata": string(3000),
            "callback_id": string(255),
            "external_id": string(255),
        },
    ),
}
