"""Message text in Slack's encoding: escapes, mentions, and the rich text of typed words."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_TYPED_MENTION = re.compile(
    r"(?<![\w<@#])([@#])([a-z0-9][a-z0-9._-]*[a-z0-9]|[a-z0-9])", re.IGNORECASE
)
_ENCODED = re.compile(r"<@([UW][A-Z0-9]+)>|<#([CG][A-Z0-9]+)(?:\|[^>]*)?>|<(https?://[^|>]+)>")
_LINK = re.compile(r"https?://[^\s<>|]+")
_RAW_MENTION = re.compile(r"<(?:@[UW]|#[CG])[A-Z0-9]+(?:\|[^>]*)?>")


def escape(text: str) -> str:
    """Escape the three characters Slack escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The text as a person reads it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def encode_text(text: str, *, people: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """A person's typed text in the form in which Slack sends it to an app.

    `@name` and `#name` become `<@U…>` and `<#C…>` if the name (→ id) is known, encoded mentions
    stay, bare links get angle brackets, and everything else is escaped.
    """
    out: list[str] = []
    end = 0
    for found in _RAW_MENTION.finditer(text):
        out += [_encode_typed(text[end : found.start()], people, channels), found[0]]
        end = found.end()
    return "".join([*out, _encode_typed(text[end:], people, channels)])


def _encode_typed(text: str, people: Mapping[str, str], channels: Mapping[str, str]) -> str:
    def mention(found: re.Match[str]) -> str:
        known = (people if found[1] == "@" else channels).get(found[2].lower())
        return f"<{found[1]}{known}>" if known else found[0]

    linked = _LINK.sub(lambda found: f"<{found[0]}>", escape(text))
    return _TYPED_MENTION.sub(mention, linked)


def slash_text(
    text: str,
    *,
    people: Mapping[str, str],
    channels: Mapping[str, str],
    groups: Mapping[str, str],
    should_escape: bool,
) -> str:
    """The text of a slash command: escaped, with ids only if the command asks for them."""
    if not should_escape:
        return escape(text)

    def slash_mention(found: re.Match[str]) -> str:
        group = groups.get(found[2].lower()) if found[1] == "@" else None
        if group is not None:
            return f"<!subteam^{group}|@{found[2]}>"
        known = (people if found[1] == "@" else channels).get(found[2].lower())
        return f"<{found[1]}{known}|{found[2]}>" if known else found[0]

    return _TYPED_MENTION.sub(slash_mention, escape(text))


def mentions(text: str) -> set[str]:
    """The ids of the people that an encoded text mentions."""
    return {found[1] for found in _ENCODED.finditer(text) if found[1]}


def rich_text(text: str, block_id: str) -> dict[str, Any]:
    """The block that Slack's composer makes from typed text."""
    elements: list[dict[str, Any]] = []
    end = 0
    for found in _ENCODED.finditer(text):
        if found.start() > end:
            elements.append({"type": "text", "text": unescape(text[end : found.start()])})
        if found[1]:
            elements.append({"type": "user", "user_id": found[1]})
        elif found[2]:
            elements.append({"type": "channel", "channel_id": found[2]})
        else:
            elements.append({"type": "link", "url": unescape(found[3])})
        end = found.end()
    if end < len(text):
        elements.append({"type": "text", "text": unescape(text[end:])})
    return {
        "type": "rich_text",
        "block_id": block_id,
        "elements": [{"type": "rich_text_section", "elements": elements}],
    }


def visible_text(message: Mapping[str, Any]) -> str:
    """All visible text of a message: from its blocks, otherwise from its text."""
    blocks = message.get("blocks")
    parts = list(_texts(blocks)) if blocks else [str(message.get("text") or "")]
    parts += [str(file.get("title") or file.get("name")) for file in message.get("files", ())]
    return "\n".join(part for part in parts if part)


def _texts(value: Any) -> Iterable[str]:
    pick: Callable[[Any], Iterable[str]] = _texts
    if isinstance(value, list):
        for item in value:
            yield from pick(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("text", "title", "alt_text", "details", "output") and isinstance(item, str):
                yield item
            elif key not in ("confirm", "value") and isinstance(item, dict | list):
                yield from pick(item)
