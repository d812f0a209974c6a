"""A thread as plain text, for terminals: without the markup of Slack or Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.sandbox.slack.people import seed_people

# The only unescaped angle brackets are the sandbox's own: those in people's text are escaped.
_BRACKETS = re.compile(r"<([^<>]+)>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_RULE = "─" * 72
# Code keeps what it contains: a block loses the lines of its fence, a span its backticks.
_CODE = re.compile(r"```[^\n`]*\n(?P<block>.*?)\n?```|`(?P<span>[^`\n]+)`", re.DOTALL)
# Slack reads a mark only where a word begins and ends.
_EMPHASIS = re.compile(
    r"(?<![\w*_~\\])(?P<mark>[*_~])(?!(?P=mark)|[\s\u200b])(?P<inner>[^\n]*?\S)(?P=mark)(?![\w*_~])"
)
# Not `__`, which is a name in code more often than a mark.
_STRONG = re.compile(r"(?<!\\)(?P<mark>\*\*|~~)(?=\S)(?P<inner>[^\n]*?\S)(?P=mark)")
_HEADING = re.compile(r"^#{1,6} +", re.MULTILINE)
_LINK = re.compile(r"\[(?P<label>[^\]\n]+)\]\((?P<url>[^)\s]+)\)")
_BACKSLASH = re.compile(r"\\([!-/:-@\[-`{-~])")
# Breaks up text that Slack must not read as markup.
_ZERO_WIDTH_SPACE = "\u200b"


def thread_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The messages of a thread, root first, as readable text."""
    return f"\n{_RULE}\n".join(_message(message) for message in messages)


def _message(message: Mapping[str, Any]) -> str:
    blocks = message.get("blocks") or ()
    lines = [line for block in blocks for line in _block(block) if line]
    lines += [f"[file: {file.get('title') or file['name']}]" for file in message.get("files") or ()]
    return "\n".join(lines) if lines else _mrkdwn(str(message.get("text", "")))


def _block(block: Mapping[str, Any]) -> list[str]:
    kind = block.get("type")
    if kind == "divider":
        return ["· · ·"]
    if kind == "markdown":
        return [_markdown(str(block.get("text", "")))]
    if kind == "actions":
        labels = (_text(element) for element in block.get("elements", ()))
        return [" ".join(f"[{label}]" for label in labels if label)]
    if kind == "context":
        return [" · ".join(_text(element) for element in block.get("elements", ()))]
    if kind == "rich_text":
        return [_rich_text(block)]
    return [_text(block), *(_field(field) for field in block.get("fields", ()))]


def _field(field: Mapping[str, Any]) -> str:
    """A field on one line: `Owner: @ada` for a name with its value below."""
    name, _, value = _text(field).partition("\n")
    return f"{name}: {value}" if value and "\n" not in value else f"{name}\n{value}".strip()


def _text(element_or_text: Mapping[str, Any]) -> str:
    text = element_or_text.get("text", "")
    if isinstance(text, Mapping):
        return _text(text)
    is_plain = element_or_text.get("type") == "plain_text"
    return _unescaped(str(text)) if is_plain else _mrkdwn(str(text))


def _mrkdwn(text: str) -> str:
    return _outside_code(text, lambda part: _without_emphasis(_BRACKETS.sub(_visible_text, part)))


def _markdown(text: str) -> str:
    def plain(part: str) -> str:
        part = _LINK.sub(_link, _HEADING.sub("", part))
        part = _without_emphasis(_STRONG.sub(r"\g<inner>", part))
        return _BACKSLASH.sub(r"\1", part)

    return _outside_code(text, plain)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    end = 0
    for found in _CODE.finditer(text):
        parts += [change(text[end : found.start()]), found["block"] or found["span"] or ""]
        end = found.end()
    return _unescaped("".join([*parts, change(text[end:])]))


def _without_emphasis(text: str) -> str:
    # Marks within marks: `*_both_*`.
    for _ in range(2):
        text = _EMPHASIS.sub(r"\g<inner>", text)
    return text.replace(_ZERO_WIDTH_SPACE, "")


def _unescaped(text: str) -> str:
    for escaped, plain in _ENTITIES:
        text = text.replace(escaped, plain)
    return text


def _link(link: re.Match[str]) -> str:
    return link["label"] if link["label"] == link["url"] else f"{link['label']} ({link['url']})"


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
