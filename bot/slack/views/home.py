"""The App Home: a person's own runs and all live runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.slack.views import blocks
from bot.slack.views.lists import run_lines
from bot.slack.views.message import Block, View
from core.domain.runs.snapshot import RunSnapshot

_MAX_ROWS = 10


def home_view(*, mine: Sequence[RunSnapshot], live: Sequence[RunSnapshot], now: datetime) -> View:
    """Draw the Home tab of one person.

    Args:
        mine: The person's own runs, newest first; the first 10 are shown.
        live: The live runs, newest first; the first 10 are shown.
        now: The current time, for elapsed times.
    """
    drawn: list[Block] = [
        blocks.header("Signalbox"),
        blocks.section(
            "Runs Claude Code workflows and shows what they do. In a channel I am in, type "
            "`/workflow run`; `/workflow help` explains the rest."
        ),
        *_run_section("Live now", live, "Nothing is running or waiting.", now),
        *_run_section("Your runs", mine, "You have not started a run yet.", now),
        blocks.context("This tab follows what happens for a few minutes after you open it."),
    ]
    return {"type": "home", "blocks": drawn}


def _run_section(
    title: str, runs: Sequence[RunSnapshot], empty_text: str, now: datetime
) -> list[Block]:
    lines = [run_lines(snapshot, now=now) for snapshot in runs[:_MAX_ROWS]]
    return [blocks.header(title), *blocks.paragraphs(lines or [empty_text])]
