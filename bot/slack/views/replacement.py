"""Messages that take the place of one that Slack does not let the bot change."""

from __future__ import annotations

from dataclasses import replace

from bot.slack.views import blocks
from bot.slack.views.message import Block, Message

# chat.update accepts 4,000 characters of text.
PLAIN_TEXT_LIMIT = 3000


def with_replacement_note(message: Message, *, link: str | None) -> Message:
    """A message with a line that says that it replaces an earlier one."""
    earlier = f"<{link}|the first one>" if link else "an earlier one"
    note = blocks.context(f"♻️ I can no longer change {earlier}; this is the current message.")
    return replace(message, blocks=(*message.blocks, note))


def shorter(message: Message) -> Message:
    """A message without details, for one that Slack finds too long: its summary and its buttons."""
    kept: list[Block] = [block for block in message.blocks if block["type"] == "actions"]
    summary = blocks.section(message.text[: blocks.SECTION_LIMIT])
    return Message(text=message.text[:PLAIN_TEXT_LIMIT], blocks=(summary, *kept))


def without_charts(message: Message) -> Message:
    """A message without its charts, for a Slack that does not know them."""
    kept = tuple(block for block in message.blocks if block["type"] != blocks.CHART)
    return Message(text=message.text, blocks=kept)
