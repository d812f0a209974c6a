"""The reply that shows how far a run is, updated at the interval that somebody asked for."""

from __future__ import annotations

from bot.slack import dates
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.words.runs.progress_posts import progress_lines, progress_title
from core.domain.runs.snapshot import RunSnapshot


def progress_message(snapshot: RunSnapshot) -> Message | None:
    """Draw the progress as it was last taken; `None` before the first time."""
    run, post = snapshot.run, snapshot.progress
    told = None if post is None else post.told
    if post is None or told is None or post.taken_at is None:
        return None
    title = progress_title(run, post, post.taken_at)
    lines = progress_lines(told, post.taken_at, MRKDWN, is_live=run.is_live)
    words = "\n".join([f"⏱️ *{title}* · {dates.clock_time(post.taken_at)}", *lines])
    return Message(text=f"⏱️ {title}: {lines[0]}", blocks=(blocks.section(words),))
