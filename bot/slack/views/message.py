"""What a view makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Block = dict[str, Any]
View = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message of Slack.

    Attributes:
        text: What a notification and a screen reader say; mrkdwn.
        blocks: What is shown.
    """

    text: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A text too long for a message."""

    name: str
    title: str
    content: str
