"""The blocks of Block Kit, as messages, modals and the home tab may hold them.  Pure."""

from collections.abc import Mapping

from bot.sandbox.slack.blocks.elements import BUTTON, IN_ACTIONS, IN_CONTEXT_ACTIONS, IN_INPUT
from bot.sandbox.slack.blocks.elements import IN_SECTION as IN_SECTION_ONLY
from bot.sandbox.slack.blocks.shapes import (
    Rule,
    boolean,
    by_type,
    kind_of,
    later,
    listing,
    number,
    one_of,
    shape,
    string,
)
from bot.sandbox.slack.blocks.texts import ID, RICH_TEXT, URL, either, mrkdwn, plain

_BLOCK: Mapping[str, Rule] = {"block_id": ID}
_ALT = string(2000, least=1)
_SLACK_FILE = shape({}, {"id": ID, "url": URL}, one_from=("id", "url"))

_IMAGE_ELEMENT = shape(
    {"type": kind_of("image"), "alt_text": _ALT},
    {"image_url": URL, "slack_file": _SLACK_FILE},
    one_from=("image_url", "slack_file"),
)
_IMAGE = by_type({"image": _IMAGE_ELEMENT})

_RAW_TEXT = shape({"type": kind_of("raw_text"), "text": string(3000)})
_RAW_NUMBER = shape({"type": kind_of("raw_number"), "value": number()}, {"text": string(3000)})
_CELL = by_type({"raw_text": _RAW_TEXT, "raw_number": _RAW_NUMBER, "rich_text": RICH_TEXT})

_CARD = shape(
    {"type": kind_of("card")},
    {
        **_BLOCK,
        "title": mrkdwn(150),
        "subtitle": mrkdwn(150),
        "body": mrkdwn(200),
        "icon": _IMAGE,
        "hero_image": _IMAGE,
        "actions": listing(by_type({"button": BUTTON}), 3),
    },
    one_from=("title", "subtitle", "body", "hero_image", "actions"),
)


def _task_card(*states: str) -> Rule:
    return shape(
        {
            "type": kind_of("task_card"),
            "task_id": ID,
            "title": string(256, least=1),
            "status": one_of(*states),
        },
        {
            **_BLOCK,
            "details": by_type({"rich_text": RICH_TEXT}),
            "output": by_type({"rich_text": RICH_TEXT}),
            "sources": listing(
                by_type({"url": shape({"type": kind_of("url"), "url": URL, "text": string(255)})}),
                50,
            ),
        },
    )


# Slack's own example shows it: a task that has not begun exists only inside a plan.
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
    "actions": shape(
        {
            "type": kind_of("actions"),
            "elements": listing(by_type(IN_ACTIONS), 25, least=1),
        },
        _BLOCK,
    ),
    "alert": shape(
        {"type": kind_of("alert"), "text": either(200)},
        {**_BLOCK, "level": one_of("default", "info", "warning", "error", "success")},
    ),
    "card": _CARD,
    "carousel": shape(
        {"type": kind_of("carousel"), "elements": listing(by_type({"card": _CARD}), 10, least=1)},
        _BLOCK,
    ),
    "container": shape(
        {"type": kind_of("container"), "child_blocks": listing(later(_in_container), 10, least=1)},
        {
            **_BLOCK,
            "title": plain(150),
            "rich_text_title": by_type({"rich_text": RICH_TEXT}),
            "subtitle": either(150),
            "icon": _IMAGE,
            "is_collapsible": boolean,
            "default_collapsed": boolean,
            "has_header_divider": boolean,
            "width": one_of("narrow", "standard", "wide", "full"),
        },
    ),
    "context": shape(
        {
            "type": kind_of("context"),
            "elements": listing(
                by_type(
                    {
                        "image": _IMAGE_ELEMENT,
                        "plain_text": plain(3000),
                        "mrkdwn": mrkdwn(3000),
                    }
                ),
                10,
                least=1,
            ),
        },
        _BLOCK,
    ),
    "context_actions": shape(
        {
            "type": kind_of("context_actions"),
            "elements": listing(by_type(IN_CONTEXT_ACTIONS), 5, least=1),
        },
        _BLOCK,
    ),
    "data_table": shape(
        {
            "type": kind_of("data_table"),
            "caption": string(255, least=1),
            "rows": listing(listing(_CELL, 20, least=1), 201, least=1),
        },
        {**_BLOCK, "page_size": number(1), "row_header_column_index": number(0, 19)},
    ),
    "divider": shape({"type": kind_of("divider")}, _BLOCK),
    "file": shape(
        {"type": kind_of("file"), "external_id": string(255, least=1), "source": one_of("remote")},
        _BLOCK,
    ),
    "header": shape({"type": kind_of("header"), "text": plain(150)}, _BLOCK),
    "image": shape(
        {"type": kind_of("image"), "alt_text": _ALT},
        {**_BLOCK, "title": plain(2000), "image_url": URL, "slack_file": _SLACK_FILE},
        one_from=("image_url", "slack_file"),
    ),
    "input": shape(
        {"type": kind_of("input"), "label": plain(2000), "element": by_type(IN_INPUT)},
        {**_BLOCK, "hint": plain(2000), "optional": boolean, "dispatch_action": boolean},
    ),
    "markdown": shape({"type": kind_of("markdown"), "text": string(12_000, least=1)}, _BLOCK),
    "plan": shape(
        {"type": kind_of("plan"), "title": string(256, least=1)},
        {**_BLOCK, "tasks": listing(by_type({"task_card": _PLAN_TASK}), 50)},
    ),
    "rich_text": RICH_TEXT,
    "section": shape(
        {"type": kind_of("section")},
        {
            **_BLOCK,
            "text": either(3000),
            "fields": listing(either(2000), 10, least=1),
            "accessory": by_type({**IN_SECTION_ONLY, "image": _IMAGE_ELEMENT}),
            "expand": boolean,
        },
        one_from=("text", "fields"),
    ),
    "table": shape(
        {
            "type": kind_of("table"),
            "rows": listing(listing(_CELL, 20, least=1), 100, least=1),
        },
        {
            **_BLOCK,
            "column_settings": listing(
                shape({}, {"align": one_of("left", "center", "right"), "is_wrapped": boolean}), 20
            ),
        },
    ),
    "task_card": _task_card("in_progress", "complete", "error"),
    "video": shape(
        {
            "type": kind_of("video"),
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

# What only streams and agents use is refused in modals and the home tab.
_NOT_IN_VIEWS = frozenset(
    {"context_actions", "data_table", "markdown", "plan", "table", "task_card"}
)
IN_MESSAGE: Rule = by_type({kind: rule for kind, rule in BLOCKS.items() if kind != "alert"})
IN_VIEW: Rule = by_type({kind: rule for kind, rule in BLOCKS.items() if kind not in _NOT_IN_VIEWS})

VIEWS: Mapping[str, Rule] = {
    "modal": shape(
        {
            "type": kind_of("modal"),
            "title": plain(24),
            "blocks": listing(IN_VIEW, 100),
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
    "home": shape(
        {"type": kind_of("home"), "blocks": listing(IN_VIEW, 100)},
        {
            "private_metadata": string(3000),
            "callback_id": string(255),
            "external_id": string(255),
        },
    ),
}
