"""The end of a run, told to its owner where its thread cannot be written to any more."""

from __future__ import annotations

from bot.slack import text
from bot.slack.views import blocks
from bot.slack.views.card import summary_line
from bot.slack.views.message import Message
from bot.slack.views.replies import result
from core.domain.snapshot import Thread


def farewell(thread: Thread) -> Message:
    """Draw the last leg's end for a direct message."""
    leg = thread.legs[-1]
    line = summary_line(leg)
    place = text.channel(thread.channel_id) or "its channel"
    lead = (
        f"{line}\n`{leg.run.run_id}` has ended, and I can no longer write in {place}. "
        f"`/workflow status {leg.run.run_id}` shows it in any channel I am in."
    )
    ending = result(leg)
    return Message(text=line, blocks=(blocks.section(lead), *(ending.blocks if ending else ())))
