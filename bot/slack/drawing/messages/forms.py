"""The forms of a message that are sent in turn, until Slack accepts one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.slack.views.replacement import PLAIN_TEXT_LIMIT, shorter, without_charts

# `SlackMessage.error` of a message that is shown, but without its charts.
CHARTS_REFUSED = "charts_refused"


def _content(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": list(message.blocks)}


def new_forms(message: Message) -> Iterator[dict[str, Any]]:
    """What to post in turn, until Slack accepts it: the message, without charts, a plain text."""
    yield from _full_forms(message)
    yield {"text": message.text[:PLAIN_TEXT_LIMIT]}


def _full_forms(message: Message) -> Iterator[dict[str, Any]]:
    """The message, and the message without charts if it has any."""
    yield _content(message)
    if blocks.has_charts(message.blocks):
        # Not every workspace knows them; the rest says the same in words.
        yield _content(without_charts(message))


def changed_forms(message: Message) -> Iterator[dict[str, Any]]:
    """What to send in turn, until Slack accepts it: the message, a shorter one, a plain text."""
    yield from _full_forms(message)
    yield _content(shorter(message))
    yield {"text": message.text[:PLAIN_TEXT_LIMIT], "blocks": []}


def lost_charts(message: Message, content: Mapping[str, Any]) -> str | None:
    """The `error` of a message of which this was accepted."""
    has_lost = blocks.has_charts(message.blocks) and not blocks.has_charts(
        content.get("blocks") or ()
    )
    return CHARTS_REFUSED if has_lost else None
