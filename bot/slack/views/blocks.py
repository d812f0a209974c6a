"""Block Kit elements within Slack's limits.  Parameters named `escaped` must be escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bot.slack.views.message import Block
from bot.words import texts

SECTION_LIMIT = 3000
HEADER_LIMIT = 150
BUTTON_LIMIT = 75
MAX_FIELDS = 10
# Slack refuses messages with more than about 11,000 characters in their blocks (undocumented).
MESSAGE_LIMIT = 8000
# The block of a chart, of which a message has at most two; slack-sdk does not know it.
CHART = "data_visualization"
CHART_TITLE_LIMIT = 50
CHART_LABEL_LIMIT = 20
MAX_CATEGORIES = 20
MAX_SERIES = 6
_NO_ADDRESSES: Mapping[str, str] = MappingProxyType({})


def mrkdwn(escaped: str) -> dict[str, Any]:
    """A text object; `verbatim` keeps Slack from adding links and mentions."""
    return {"type": "mrkdwn", "text": escaped, "verbatim": True}


def plain(words: str, limit: int) -> dict[str, Any]:
    """A plain text object from any text; Slack turns no `:names:` in it into emoji."""
    return {"type": "plain_text", "text": texts.plain_line(words, limit), "emoji": False}


def header(words: str) -> Block:
    """A headline from any text."""
    return {"type": "header", "text": plain(words, HEADER_LIMIT)}


def section(escaped: str) -> Block:
    """A paragraph, never collapsed."""
    return {"type": "section", "text": mrkdwn(escaped), "expand": True}


def section_with(escaped: str, button: Block) -> Block:
    """A paragraph with a button beside it."""
    return {**section(escaped), "accessory": button}


def fields(pairs: Sequence[tuple[str, str]]) -> Block:
    """Labelled values in two columns."""
    return {
        "type": "section",
        "fields": [mrkdwn(f"*{label}*\n{value}") for label, value in pairs[:MAX_FIELDS]],
    }


def context(escaped: str) -> Block:
    """Small print."""
    return {"type": "context", "elements": [mrkdwn(escaped)]}


def markdown(safe: str) -> Block:
    """A text in safe Markdown (`bot.slack.markdown`)."""
    return {"type": "markdown", "text": safe}


def rich_text(elements: Sequence[Block]) -> Block:
    """Text that Slack shows without parsing it (`bot.slack.rich_text`)."""
    return {"type": "rich_text", "elements": list(elements)}


def bar_chart(
    title: str, categories: Sequence[str], series: Mapping[str, Sequence[float]], *, unit: str
) -> Block:
    """A bar chart: for each series one value in each category.

    Args:
        title: What it shows; plain text.
        categories: The labels of the groups of bars, all different.
        series: The values by the name of the series, in the order of the categories.
        unit: What the values are, for the axis.
    """
    labels = [texts.plain_line(label, CHART_LABEL_LIMIT) for label in categories[:MAX_CATEGORIES]]
    return {
        "type": CHART,
        "title": texts.plain_line(title, CHART_TITLE_LIMIT),
        "chart": {
            "type": "bar",
            "series": [
                {
                    "name": texts.plain_line(name, CHART_LABEL_LIMIT),
                    "data": [
                        {"label": label, "value": value}
                        for label, value in zip(labels, values, strict=False)
                    ],
                }
                for name, values in list(series.items())[:MAX_SERIES]
            ],
            "axis_config": {
                "categories": labels,
                "y_label": texts.plain_line(unit, CHART_TITLE_LIMIT),
            },
        },
    }


def has_charts(drawn: Sequence[Block]) -> bool:
    """Whether any of these blocks is a chart."""
    return any(block["type"] == CHART for block in drawn)


def divider() -> Block:
    """A line."""
    return {"type": "divider"}


def actions(block_id: str, elements: Sequence[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def button(
    label: str,
    *,
    action_id: str,
    value: str,
    style: str | None = None,
    confirm: Block | None = None,
) -> Block:
    """A button; its value may be seen and replayed by anyone who can see the message."""
    block: Block = {
        "type": "button",
        "action_id": action_id,
        "text": plain(label, BUTTON_LIMIT),
        "value": value,
    }
    if style is not None:
        block["style"] = style
    if confirm is not None:
        block["confirm"] = confirm
    return block


def overflow(
    action_id: str, options: Mapping[str, str], addresses: Mapping[str, str] = _NO_ADDRESSES
) -> Block:
    """A menu behind three dots.

    Args:
        action_id: What a choice is told as.
        options: The label of each option by its value; at most five.
        addresses: What an option opens in the browser, by its value.
    """
    return {
        "type": "overflow",
        "action_id": action_id,
        "options": [
            {
                "text": plain(label, BUTTON_LIMIT),
                "value": value,
                **({"url": addresses[value]} if value in addresses else {}),
            }
            for value, label in options.items()
        ],
    }


def confirm(*, title: str, words: str, yes: str, no: str) -> Block:
    """The confirmation dialog of a dangerous button."""
    return {
        "title": plain(title, 100),
        "text": plain(words, 300),
        "confirm": plain(yes, 30),
        "deny": plain(no, 30),
        "style": "danger",
    }


def fit_lines(lines: Sequence[str], max_chars: int) -> list[str]:
    """The first lines that fit together, then a line with the number of those left out."""
    taken = 0
    for number, line in enumerate(lines):
        taken += len(line) + 1
        if taken > max_chars:
            return [*lines[:number], f"_+{len(lines) - number} more_"]
    return list(lines)


def paragraphs(lines: Sequence[str], limit: int = SECTION_LIMIT) -> list[Block]:
    """Pack lines into as few sections as possible."""
    packed: list[str] = []
    for line in lines:
        if packed and len(packed[-1]) + 1 + len(line) <= limit:
            packed[-1] += "\n" + line
        else:
            packed.append(line)
    return [section(part) for part in packed]
