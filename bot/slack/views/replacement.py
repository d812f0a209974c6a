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
    """A message with its charts in words, for a Slack that does not know charts."""
    drawn = tuple(
        _in_words(block) if block["type"] == blocks.CHART else block for block in message.blocks
    )
    return replace(message, blocks=drawn)


def _in_words(chart: Block) -> Block:
    """The numbers of a chart by `blocks.bar_chart`, a line for each category."""
    series = chart["chart"]["series"]
    lines = [
        f"{category}: "
        + ", ".join(
            f"{one['name'][:1].lower()}{one['name'][1:]} {point['value']:,}"
            for one, point in zip(series, points, strict=True)
        )
        for category, *points in zip(
            chart["chart"]["axis_config"]["categories"],
            *(one["data"] for one in series),
            strict=True,
        )
    ]
    elements = [
        {"type": "text", "text": chart["title"], "style": {"bold": True}},
        {"type": "text", "text": "".join(f"\n{line}" for line in lines)},
    ]
    return blocks.rich_text([{"type": "rich_text_section", "elements": elements}])
