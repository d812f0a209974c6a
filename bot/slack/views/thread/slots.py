"""Everything one Slack thread should show."""

from __future__ import annotations

from datetime import datetime

from bot.slack.views.message import Message, TextFile
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.slack.views.thread.card import thread_card
from bot.slack.views.thread.replies import replies
from bot.slack.views.thread.result import file_for
from core.domain.runs.snapshot import Thread

CARD = "card"


def thread_messages(
    thread: Thread, now: datetime, links: ThreadLinks = NO_LINKS
) -> dict[str, Message]:
    """The messages of a thread by slot: the card, then the replies in their order."""
    return {CARD: thread_card(thread, now=now, links=links), **replies(thread)}


def thread_files(thread: Thread) -> dict[str, TextFile]:
    """The files of a thread, by slot `file:<run_id>`; each is posted once and never changed."""
    files = {f"file:{leg.run.run_id}": file_for(leg) for leg in thread.legs}
    return {slot: file for slot, file in files.items() if file is not None}
