"""Lost channels that may be usable again: unarchived, or the bot was invited again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.slack.client.errors import SlackError, SlackRefused
from bot.slack.client.rate_limits import Priority
from bot.slack.client.web_api import Slack
from bot.slack.drawing.diff import RETRY_CHANNEL_AFTER
from bot.slack.ports import LostChannelStore
from core.domain.errors import Unavailable

log = logging.getLogger(__name__)

# Errors for which `conversations.info` shows whether the channel is usable again.
_RECOVERABLE_REASONS = frozenset(
    {"channel_not_found", "not_in_channel", "is_archived", "is_inactive"}
)


@dataclass(frozen=True)
class LostChannels:
    """Polls lost channels, and requests a redraw of everything in those that have recovered.

    A run that has ended causes no more changes.  Without the poll, its card could say "Running"
    forever after the channel has recovered.
    """

    slack: Slack
    store: LostChannelStore
    team_id: str
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def keep_checking(self) -> None:
        """Poll now and every `RETRY_CHANNEL_AFTER`, until cancelled.

        Errors of Slack and of the database are logged; the next poll tries again.
        """
        while True:
            try:
                await self.reopen_recovered()
            except (SlackError, Unavailable) as error:
                log.warning(
                    "lost channels cannot be checked: %s",
                    error,
                    extra={"event": "lost_channels.check_failed"},
                )
            await self.sleep(RETRY_CHANNEL_AFTER.total_seconds())

    async def reopen_recovered(self) -> int:
        """Request a redraw of everything in the channels that have recovered.

        Returns:
            The number of drawables to be drawn again.

        Raises:
            SlackError: Slack cannot be reached or limits the calls.
            Unavailable: The database cannot be reached.
        """
        count = 0
        for channel_id in await self.store.lost_channels(
            team_id=self.team_id, reasons=_RECOVERABLE_REASONS
        ):
            if await self._is_usable(channel_id):
                reopened = await self.store.retry_lost(channel_id, reasons=_RECOVERABLE_REASONS)
                log.info(
                    "channel %s is usable again: %d drawables are drawn again",
                    channel_id,
                    reopened,
                    extra={
                        "event": "channel.recovered",
                        "channel_id": channel_id,
                        "count": reopened,
                    },
                )
                count += reopened
        return count

    async def _is_usable(self, channel_id: str) -> bool:
        try:
            answer = await self.slack.call(
                "conversations.info", priority=Priority.IDLE, channel=channel_id
            )
        except SlackRefused as error:
            log.debug(
                "channel %s is still lost: %s",
                channel_id,
                error.name,
                extra={
                    "event": "channel.check_failed",
                    "channel_id": channel_id,
                    "error": error.name,
                },
            )
            return False
        channel = answer.get("channel") or {}
        is_ours = channel.get("is_member") or channel.get("is_im")
        return bool(is_ours) and not channel.get("is_archived")
