"""Escaping of text for Slack, and unescaping of text from Slack.

Slack has three languages.  In *mrkdwn* (`text=` and most blocks) `&`, `<` and `>` are special:
use `escape` for text, `code` and `fence` for code.  *plain_text* (headers, buttons, modals) has
no markup: use `bot.words.texts.plain_line`.  *markdown* (the markdown block) is ordinary
Markdown: use `bot.slack.markdown`.  All of them remove what looks like a credential.
"""

import re

from bot.words.texts import ELLIPSIS, clean, clip_by_cost

# Inserted invisibly to break up text, never code, that Slack must not read as markup.
ZERO_WIDTH_SPACE = "\u200b"

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile("[&<>]")

_LINK = r"(?P<link>[a-z][a-z0-9+.-]*:[^\s|<>]*)"
_TOKEN = re.compile(
    r"<(?:"
    r"@(?P<user>[A-Z0-9]+)"
    r"|\#(?P<channel>[A-Z0-9]+)"
    r"|!(?P<special>[^|<>]+)"
    rf"|{_LINK}"
    r")(?:\|(?P<label>[^<>]*))?>",
    re.IGNORECASE,
)
_MEMBER_ID = re.compile(r"[UW][A-Z0-9]{2,20}\Z")
_CHANNEL_ID = re.compile(r"[CDG][A-Z0-9]{2,20}\Z")
# They would close a fence, and mrkdwn has no other mark for them.
_FENCE_MARKS = re.compile("`{3,}")


def escape(text: str, limit: int | None = None) -> str:
    """Escape a text for mrkdwn.  The escaped text has at most `limit` characters."""
    text = clean(text)
    if limit is not None:
        text = clip_by_cost(text, limit, cost=lambda part: len(_entities(part)))
    return _entities(text)


def one_line(text: str, limit: int) -> str:
    """Escape a text, and put it on one line."""
    return escape(" ".join(clean(text).split()), limit)


def quote(text: str, limit: int) -> str:
    """Escape a text and show it as a quotation, each line behind a bar.

    The result has about a dozen lines and at most `limit` characters, with the bars.
    """
    lines = clean(text).strip().split("\n")
    if lines == [""]:
        return ""
    shortened = escape("\n".join(lines[:12]) + (ELLIPSIS if len(lines) > 12 else ""), limit - 26)
    return "\n".join(f"> {line}".rstrip() for line in shortened.split("\n")[:13])


def code(text: str, limit: int = 200) -> str:
    """Show a text as code in mrkdwn, unchanged, so that it can be copied.

    It is inline code, or a block if it has several lines or a backtick, which inline code cannot
    contain.
    """
    inner = clean(text).strip()
    if "`" in inner or "\n" in inner:
        return fence(inner, limit)
    return f"`{escape(inner, limit - 2)}`" if inner else ""


def without_fence_marks(text: str) -> str:
    """Replace three and more backticks in a row by apostrophes: a visible change.

    Broken up by invisible characters, they could become code with these characters in it.
    """
    return _FENCE_MARKS.sub(lambda marks: "'" * len(marks[0]), text)


def fence(text: str, limit: int) -> str:
    """Show a text as a code block in mrkdwn, which cannot contain three backticks in a row."""
    inner = without_fence_marks(clean(text).strip("\n"))
    return f"```\n{escape(inner, limit - 8)}\n```"


def person(slack_user_id: str | None, name: str | None) -> str:
    """Mention a person by a valid Slack id; otherwise use the name."""
    if slack_user_id is not None and _MEMBER_ID.match(slack_user_id):
        return f"<@{slack_user_id}>"
    return one_line(name or "somebody", 80)


def channel(channel_id: str | None) -> str:
    """Link a channel; empty if the id is not that of a channel."""
    if channel_id is not None and _CHANNEL_ID.match(channel_id):
        return f"<#{channel_id}>"
    return ""


def from_slack(text: str, *, prefer_links: bool = False) -> str:
    """Undo Slack's own markup: return the text as the person typed it.

    Links lose their brackets (`<http://a.b|a.b>` was typed `a.b`), mentions become `@name`
    and `#channel`, and `&amp;`, `&lt;`, `&gt;` become themselves.  Text that only looks
    like markup (`Vec<u8>`, sent unescaped) stays.  With `prefer_links` a link becomes its address,
    whatever its label: for values that are addresses.
    """
    parts: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        parts += [unescape(text[end : token.start()]), _as_typed(token, prefer_links=prefer_links)]
        end = token.end()
    return "".join([*parts, unescape(text[end:])])


def unescape(text: str) -> str:
    """Undo Slack's escaping of `&`, `<` and `>`, once."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _as_typed(token: re.Match[str], *, prefer_links: bool) -> str:
    """The text that a person typed to get this token."""
    label = unescape(token["label"] or "")
    if token["user"]:
        return f"@{label or token['user']}"
    if token["channel"]:
        return f"#{label or token['channel']}"
    if token["special"]:
        name = token["special"].split("^")[0]
        return label or f"@{name}"
    link = unescape(token["link"])
    bare = link.removeprefix("mailto:").removeprefix("tel:")
    if not label or label == link or prefer_links:
        return bare
    if label == bare or link.split("://", 1)[-1].rstrip("/") == label.rstrip("/"):
        return label
    return f"{label} ({link})"


def _entities(text: str) -> str:
    return _SPECIAL.sub(lambda found: _ENTITIES[found[0]], text)
