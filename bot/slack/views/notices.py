"""Private messages about threads that Slack does not let the bot keep true."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.slack import dates, text
from bot.slack.client.long_limits import LongLimit
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.slack.views.receipts import started_words
from bot.slack.views.thread.card import summary_line
from core.domain.runs.request import StartResult
from core.domain.runs.snapshot import RunSnapshot

# What the bot cannot do while Slack limits a method.
_LIMITED: Mapping[str, str] = MappingProxyType(
    {
        "chat.postMessage": "post messages",
        "chat.update": "update messages",
        "files.completeUploadExternal": "upload files",
    }
)


def limit_words(limit: LongLimit) -> str:
    """What Slack does not let the bot do, and until when; mrkdwn, without a full stop."""
    what = _LIMITED.get(limit.method, f"call {text.code(limit.method, 60)}")
    channel = text.channel(limit.channel) if limit.method == "chat.postMessage" else ""
    where = f" in {channel}" if channel else ""
    until = dates.clock_time(limit.until)
    if limit.is_capped:
        return f"Slack does not let me {what}{where} for a long time; I try again at about {until}"
    return f"Slack does not let me {what}{where} until about {until}"


def limit_notice(leg: RunSnapshot, limit: LongLimit, *, channel_id: str | None) -> Message:
    """The notice that the thread of a run is behind."""
    run_id = leg.run.run_id
    thread = f"the thread in {text.channel(channel_id)}" if channel_id else "the thread"
    if leg.run.is_live:
        state = (
            f"Your run is not affected, but {thread} is behind. `/workflow status {run_id}` shows "
            f"the present state, and `/workflow kill {run_id}` works as always."
        )
    else:
        state = (
            f"Your run has ended, but {thread} does not show all of it yet. "
            f"`/workflow status {run_id}` shows how it ended."
        )
    words = limit_words(limit)
    lines = (
        f"⏳ *{words}.* {state} The thread catches up automatically.",
        f"{summary_line(leg)} · `{run_id}`",
    )
    return Message(text=f"⏳ {words}.", blocks=tuple(blocks.section(line) for line in lines))


def given_up_notice(
    leg: RunSnapshot, error: str, *, is_head: bool, channel_id: str | None
) -> Message:
    """The notice that a message in the thread of a run will stay as it is, or is missing."""
    run_id = leg.run.run_id
    where = f" in {text.channel(channel_id)}" if channel_id else ""
    what = "the card of your run" if is_head else "a message in the thread of your run"
    lead = f"⚠️ *Slack refuses to let me show {what}{where}* ({text.code(error, 60)})."
    advice = (
        f"Do not trust what the {'card' if is_head else 'message'} says now: "
        f"`/workflow status {run_id}` shows the present state. An admin finds the reason in the "
        "log under `message.given_up`."
    )
    lines = (f"{lead} {advice}", f"{summary_line(leg)} · `{run_id}`")
    return Message(text=lead, blocks=tuple(blocks.section(line) for line in lines))


def started_without_card(outcome: StartResult, limit: LongLimit) -> Message:
    """The answer to a start or continuation whose card cannot be shown for now."""
    run_id = outcome.run.run_id
    words = (
        f"{text.escape(started_words(outcome))}. {limit_words(limit)}, so its card is late. Until "
        f"then `/workflow status {run_id}` shows how it goes, and `/workflow kill {run_id}` stops "
        "it."
    )
    return Message(text=words, blocks=(blocks.section(words),))
