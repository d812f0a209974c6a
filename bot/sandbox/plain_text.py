"""A thread as plain text, for terminals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.sandbox.slack.people import seed_people

# The only unescaped angle brackets are the sandbox's own: those in people's text are escaped.
_MARKUP = re.compile(r"<([^<>]+)>")
_RULE = "─" * 72


def thread_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The messages of a thread, root first, as readable text."""
    return f"\n{_RULE}\n".join(_message(message) for message in messages)


def _message(message: Mapping[str, Any]) -> str:
    blocks = message.get("blocks") or ()
    lines = [line for block in blocks for line in _block(block)]
    lines += [f"[file: {file.get('title') or file['name']}]" for file in message.get("files") or ()]
    return "\n".join(lines) if lines else str(message.get("text", ""))


def _block(block: Mapping[str, Any]) -> list[str]:
    kind = block.get("type")
    if kind == "divider":
        return ["· · ·"]
    if kind == "markdown":
        return [str(block.get("text", ""))]
    if kind == "actions":
        return [" ".join(f"[{_text(element)}]" for element in block.get("elements", ()))]
    if kind == "context":
        return [" · ".join(_text(element) for element in block.get("elements", ()))]
    if kind == "rich_text":
        return [_rich_text(block)]
    found = [_text(block), *(_text(field) for field in block.get("fields", ()))]
    return [line for line in found if line]


def _text(element_or_text: Mapping[str, Any]) -> str:
    text = element_or_text.get("text", "")
    found = _text(text) if isinstance(text, Mapping) else _MARKUP.sub(_visible_text, str(text))
    for escaped, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        found = found.replace(escaped, plain)
    return found


def _visible_text(markup: re.Match[str]) -> str:
    """The visible part of `<@U1>`, `<#C1|name>`, `<!date^…|fallback>` or `<url|label>`."""
    target, _, label = markup.group(1).partition("|")
    if target.startswith("@"):
        names = {person.id: person.name for person in seed_people("signalbox")}
        return f"@{label or names.get(target[1:], target[1:])}"
    return label or target


def _rich_text(element_or_text: Mapping[str, Any]) -> str:
    if "text" in element_or_text:
        return str(element_or_text["text"])
    return "".join(_rich_text(element) for element in element_or_text.get("elements", ()))
