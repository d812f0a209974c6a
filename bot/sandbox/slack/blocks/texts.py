"""The smallest parts of Block Kit: text objects, options, confirm dialogs, rich text.  Pure."""

from bot.sandbox.slack.blocks.shapes import (
    Rule,
    boolean,
    by_type,
    kind_of,
    listing,
    number,
    one_of,
    shape,
    string,
)

ID = string(255, least=1)
URL = string(3000, least=1)
COLOR = one_of("primary", "danger")

STYLE = shape(
    {},
    dict.fromkeys(("bold", "italic", "strike", "code", "underline"), boolean),
)


def plain(most: int, *, least: int = 1) -> Rule:
    """A plain_text object."""
    return by_type(
        {
            "plain_text": shape(
                {"type": kind_of("plain_text"), "text": string(most, least=least)},
                {"emoji": boolean},
            )
        }
    )


def mrkdwn(most: int, *, least: int = 1) -> Rule:
    """A mrkdwn object; it takes no `emoji`."""
    return by_type({"mrkdwn": _mrkdwn(most, least)})


def either(most: int, *, least: int = 1) -> Rule:
    """A text object of either kind."""
    return by_type(
        {
            "plain_text": shape(
                {"type": kind_of("plain_text"), "text": string(most, least=least)},
                {"emoji": boolean},
            ),
            "mrkdwn": _mrkdwn(most, least),
        }
    )


def _mrkdwn(most: int, least: int) -> Rule:
    return shape(
        {"type": kind_of("mrkdwn"), "text": string(most, least=least)}, {"verbatim": boolean}
    )


CONFIRM = shape(
    {"title": plain(100), "text": either(300)},
    {"confirm": plain(30), "deny": plain(30), "style": COLOR},
)

PLAIN_OPTION = shape(
    {"text": plain(75), "value": string(150, least=1)}, {"description": plain(75), "url": URL}
)

OPTION = shape(
    {"text": either(75), "value": string(150, least=1)}, {"description": either(75), "url": URL}
)

OPTION_GROUP = shape({"label": plain(75), "options": listing(PLAIN_OPTION, 100, least=1)})

_TEXT = string(12_000)

RICH_ELEMENTS = {
    "broadcast": shape(
        {"type": kind_of("broadcast"), "range": one_of("here", "channel", "everyone")},
        {"style": STYLE},
    ),
    "channel": shape({"type": kind_of("channel"), "channel_id": ID}, {"style": STYLE}),
    "color": shape({"type": kind_of("color"), "value": string(20)}, {"style": STYLE}),
    "date": shape(
        {"type": kind_of("date"), "timestamp": number(0), "format": string(255, least=1)},
        {"url": URL, "fallback": string(255), "style": STYLE},
    ),
    "emoji": shape(
        {"type": kind_of("emoji"), "name": string(100, least=1)},
        {"unicode": string(100), "url": URL, "style": STYLE},
    ),
    "link": shape(
        {"type": kind_of("link"), "url": URL},
        {"text": _TEXT, "unsafe": boolean, "style": STYLE},
    ),
    "team": shape({"type": kind_of("team"), "team_id": ID}, {"style": STYLE}),
    "text": shape({"type": kind_of("text"), "text": string(12_000, least=1)}, {"style": STYLE}),
    "user": shape({"type": kind_of("user"), "user_id": ID}, {"style": STYLE}),
    "usergroup": shape({"type": kind_of("usergroup"), "usergroup_id": ID}, {"style": STYLE}),
}

_ELEMENTS = listing(by_type(RICH_ELEMENTS), 3_000)
_BORDER = one_of(0, 1)
_SECTION = shape({"type": kind_of("rich_text_section"), "elements": _ELEMENTS})

RICH_TEXT = shape(
    {
        "type": kind_of("rich_text"),
        "elements": listing(
            by_type(
                {
                    "rich_text_section": _SECTION,
                    "rich_text_list": shape(
                        {
                            "type": kind_of("rich_text_list"),
                            "style": one_of("bullet", "ordered"),
                            "elements": listing(by_type({"rich_text_section": _SECTION}), 3_000),
                        },
                        {"indent": number(0, 8), "border": _BORDER},
                    ),
                    "rich_text_preformatted": shape(
                        {
                            "type": kind_of("rich_text_preformatted"),
                            "elements": listing(
                                by_type({kind: RICH_ELEMENTS[kind] for kind in ("text", "link")}),
                                3_000,
                            ),
                        },
                        {"border": _BORDER},
                    ),
                    "rich_text_quote": shape(
                        {"type": kind_of("rich_text_quote"), "elements": _ELEMENTS},
                        {"border": _BORDER},
                    ),
                }
            ),
            3_000,
            least=1,
        ),
    },
    {"block_id": ID},
)
