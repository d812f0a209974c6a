"""The smallest parts of Block Kit: text objects, options, confirm dialogs, rich text.  Pure."""

from bot.sandbox.slack.blocks.json_rules import (
    Rule,
    array,
    boolean,
    by_type,
    number,
    object_with,
    one_of,
    string,
    type_is,
)

ID = string(255, minimum=1)
URL = string(3000, minimum=1)
COLOR = one_of("primary", "danger")

STYLE = object_with(
    {},
    dict.fromkeys(("bold", "italic", "strike", "code", "underline"), boolean),
)


def plain(maximum: int, *, minimum: int = 1) -> Rule:
    """A plain_text object."""
    return by_type(
        {
            "plain_text": object_with(
                {"type": type_is("plain_text"), "text": string(maximum, minimum=minimum)},
                {"emoji": boolean},
            )
        }
    )


def mrkdwn(maximum: int, *, minimum: int = 1) -> Rule:
    """A mrkdwn object; unlike plain_text it has no `emoji`."""
    return by_type({"mrkdwn": _mrkdwn(maximum, minimum)})


def text_object(maximum: int, *, minimum: int = 1) -> Rule:
    """A text object of either type."""
    return by_type(
        {
            "plain_text": object_with(
                {"type": type_is("plain_text"), "text": string(maximum, minimum=minimum)},
                {"emoji": boolean},
            ),
            "mrkdwn": _mrkdwn(maximum, minimum),
        }
    )


def _mrkdwn(maximum: int, minimum: int) -> Rule:
    return object_with(
        {"type": type_is("mrkdwn"), "text": string(maximum, minimum=minimum)}, {"verbatim": boolean}
    )


CONFIRM = object_with(
    {"title": plain(100), "text": text_object(300)},
    {"confirm": plain(30), "deny": plain(30), "style": COLOR},
)

PLAIN_OPTION = object_with(
    {"text": plain(75), "value": string(150, minimum=1)}, {"description": plain(75), "url": URL}
)

OPTION = object_with(
    {"text": text_object(75), "value": string(150, minimum=1)},
    {"description": text_object(75), "url": URL},
)

OPTION_GROUP = object_with({"label": plain(75), "options": array(PLAIN_OPTION, 100, minimum=1)})

_TEXT = string(12_000)

RICH_ELEMENTS = {
    "broadcast": object_with(
        {"type": type_is("broadcast"), "range": one_of("here", "channel", "everyone")},
        {"style": STYLE},
    ),
    "channel": object_with({"type": type_is("channel"), "channel_id": ID}, {"style": STYLE}),
    "color": object_with({"type": type_is("color"), "value": string(20)}, {"style": STYLE}),
    "date": object_with(
        {"type": type_is("date"), "timestamp": number(0), "format": string(255, minimum=1)},
        {"url": URL, "fallback": string(255), "style": STYLE},
    ),
    "emoji": object_with(
        {"type": type_is("emoji"), "name": string(100, minimum=1)},
        {"unicode": string(100), "url": URL, "style": STYLE},
    ),
    "link": object_with(
        {"type": type_is("link"), "url": URL},
        {"text": _TEXT, "unsafe": boolean, "style": STYLE},
    ),
    "team": object_with({"type": type_is("team"), "team_id": ID}, {"style": STYLE}),
    "text": object_with(
        {"type": type_is("text"), "text": string(12_000, minimum=1)}, {"style": STYLE}
    ),
    "user": object_with({"type": type_is("user"), "user_id": ID}, {"style": STYLE}),
    "usergroup": object_with({"type": type_is("usergroup"), "usergroup_id": ID}, {"style": STYLE}),
}

_ELEMENTS = array(by_type(RICH_ELEMENTS), 3_000)
_BORDER = one_of(0, 1)
_SECTION = object_with({"type": type_is("rich_text_section"), "elements": _ELEMENTS})

RICH_TEXT = object_with(
    {
        "type": type_is("rich_text"),
        "elements": array(
            by_type(
                {
                    "rich_text_section": _SECTION,
                    "rich_text_list": object_with(
                        {
                            "type": type_is("rich_text_list"),
                            "style": one_of("bullet", "ordered"),
                            "elements": array(by_type({"rich_text_section": _SECTION}), 3_000),
                        },
                        {"indent": number(0, 8), "border": _BORDER},
                    ),
                    "rich_text_preformatted": object_with(
                        {
                            "type": type_is("rich_text_preformatted"),
                            "elements": array(
                                by_type({kind: RICH_ELEMENTS[kind] for kind in ("text", "link")}),
                                3_000,
                            ),
                        },
                        {"border": _BORDER},
                    ),
                    "rich_text_quote": object_with(
                        {"type": type_is("rich_text_quote"), "elements": _ELEMENTS},
                        {"border": _BORDER},
                    ),
                }
            ),
            3_000,
            minimum=1,
        ),
    },
    {"block_id": ID},
)
