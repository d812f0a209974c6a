"""The direct message to a run's owner when its thread cannot show the end of the run."""

from __future__ import annotations

from bot.slack import text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.slack.views.thread.card import summary_line
from bot.slack.views.thread.result import result_message
from bot.words.runs.names import leg_suffix, task_name
from core.domain.runs.snapshot import Thread


def owner_notice(thread: Thread, links: ThreadLinks = NO_LINKS) -> Message:
    """Draw the end of the thread's newest leg as a direct message."""
    leg = thread.legs[-1]
    line = summary_line(leg, leg.about)
    channel_words = text.channel(thread.channel_id) or "its channel"
    thread_words = links.to_thread(leg.card, "its thread")
    task = f"{task_name(leg, MRKDWN, 120)}{leg_suffix(leg)}"
    lead = (
        f"{task}\n`{leg.run.run_id}` has ended, and {thread_words} in {channel_words} takes no "
        "more messages of mine. "
        f"`/workflow status {leg.run.run_id}` shows it in any channel I am in."
    )
    ending = result_message(leg, is_on_card=False)
    return Message(text=line, blocks=(blocks.section(lead), *(ending.blocks if ending else ())))
