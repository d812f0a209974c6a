"""The end of a run, told to its owner where its thread cannot be written to any more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from bot.slack import text
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.client.web_api import SlackRefused
from bot.slack.drawing.diff import DrawAction, action_kind, is_lost
from bot.slack.ports import Threads
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.slack.views.thread.card import summary_line
from bot.slack.views.thread.replies import result_message
from core.domain.runs.snapshot import SlackMessage, SlackMessageState, Thread

log = logging.getLogger(__name__)


def owner_notice(thread: Thread) -> Message:
    """Draw the last leg's end for a direct message."""
    leg = thread.legs[-1]
    line = summary_line(leg)
    channel_words = text.channel(thread.channel_id) or "its channel"
    lead = (
        f"{line}\n`{leg.run.run_id}` has ended, and its thread in {channel_words} takes no more "
        "messages "
        "of mine. "
        f"`/workflow status {leg.run.run_id}` shows it in any channel I am in."
    )
    ending = result_message(leg)
    return Message(text=line, blocks=(blocks.section(lead), *(ending.blocks if ending else ())))


@dataclass(frozen=True)
class OwnerNotices:
    """What its thread does not take of the end of a run is told to its owner, once."""

    threads: Threads
    direct_channel: Callable[[str], Awaitable[str]]
    clock: Callable[[], datetime]

    async def next_action(self, thread: Thread) -> DrawAction | None:
        """The farewell, if it is still to be told and somebody is there to be told.

        Raises:
            SlackError: Slack cannot be asked now where the owner is to be found.
        """
        leg = thread.legs[-1]
        owner = leg.owner.slack_user_id if leg.owner is not None else None
        if owner is None:
            return None
        slot = f"dm:{leg.run.run_id}"
        shown = thread.messages.get(slot)
        if shown is not None and (is_lost(shown) or shown.state is SlackMessageState.SHOWN):
            return None
        channel = (
            shown.channel_id
            if shown is not None
            else await self._owner_channel(thread, slot, owner)
        )
        message = owner_notice(thread)
        kind = action_kind(shown, message)
        if kind is None or channel is None:
            return None
        return DrawAction(
            kind=kind, slot=slot, message=message, current=shown, channel_id=channel, thread_ts=None
        )

    async def _owner_channel(self, thread: Thread, slot: str, owner: str) -> str | None:
        """The conversation with a run's owner; one who has left the team has none."""
        try:
            return await self.direct_channel(owner)
        except SlackRefused as error:
            if refusal_kind(error.name) is not RefusalKind.PLACE_LOST:
                raise
            log.info("%s of %s: %s", slot, thread.thread_key, error.name)
            row = SlackMessage(
                id=uuid4(),
                thread_key=thread.thread_key,
                slot=slot,
                channel_id="",
                state=SlackMessageState.GONE,
                error=error.name,
                updated_at=self.clock(),
            )
            await self.threads.save_message(row)
            return None
