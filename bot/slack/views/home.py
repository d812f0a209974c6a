"""The App Home: a person's own runs and what is live, drawn anew whenever it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.slack import figures
from bot.slack.views import blocks
from bot.slack.views.lists import row
from bot.slack.views.message import Block, View
from core.domain.runs.snapshot import RunSnapshot

_ROWS = 10


def home(*, mine: Sequence[RunSnapshot], live: Sequence[RunSnapshot], now: datetime) -> View:
    """Draw the Home tab of one person."""
    drawn: list[Block] = [
        blocks.header("Signalbox"),
        blocks.section(
            "Runs Claude Code workflows and shows what they do. In a channel I am in, type "
            "`/workflow run`; `/workflow help` explains the rest."
        ),
        *_part("Live now", live, "Nothing is running or waiting.", now),
        *_part("Your runs", mine, "You have not started a run yet.", now),
        blocks.context(f"As of {figures.clock_time(now)}. Open this tab again for the newest."),
    ]
    return {"type": "home", "blocks": drawn}


def _part(title: str, runs: Sequence[RunSnapshot], none: str, now: datetime) -> list[Block]:
    lines = [row(snapshot, now=now) for snapshot in runs[:_ROWS]]
    return [blocks.header(title), *blocks.paragraphs(lines or [none])]
