"""The values that views return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.charts.specs import Spec

Block = dict[str, Any]
View = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message of Slack.

    Attributes:
        text: The text for notifications and screen readers, in mrkdwn.
        blocks: The visible content.
        is_broadcast: Whether a reply is shown in the channel too; it only counts when the message
            is posted.
    """

    text: str
    blocks: tuple[Block, ...]
    is_broadcast: bool = False


@dataclass(frozen=True, kw_only=True)
class HomeView:
    """What is published on a person's Home tab."""

    view: View


@dataclass(frozen=True, kw_only=True)
class ThreadFile:
    """A file in a thread; its name identifies it there."""

    name: str
    title: str


@dataclass(frozen=True, kw_only=True)
class TextFile(ThreadFile):
    """A text file, for a text that is too long for a message."""

    content: str


@dataclass(frozen=True, kw_only=True)
class PictureFile(ThreadFile):
    """A picture of a chart, for a Slack that refused the chart in the head of the thread.

    Attributes:
        alt: What is to be seen, in a sentence.
        spec: The chart as `bot.charts` draws it.
    """

    alt: str
    spec: Spec


# What a drawable consists of.
Content = Message | TextFile | PictureFile | HomeView
