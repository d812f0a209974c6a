"""Channels that begin and end for the bot: an offer of alerts, and the end of subscriptions."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.alerts import AlertActions
from bot.slack.views.alerts.channels import (
    BOT_REMOVED,
    CHANNEL_ARCHIVED,
    CHANNEL_DELETED,
    ended_message,
    offer_message,
)
from core.domain.actor import Actor
from core.domain.alerts.channels.subscription import Subscription

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Channels:
    """Handlers of what happens to channels as a whole.

    Attributes:
        actions: What people do with subscriptions.
    """

    actions: AlertActions

    async def joined(self, request: SlackRequest, actor: Actor) -> None:
        """Offer a subscription to the person who invited the bot, if they may subscribe."""
        may_subscribe = self.actions.subscriptions.may_subscribe(by=actor)
        if request.channel_id is None or not may_subscribe:
            return
        if not await self.actions.subscriptions.of_channel(
            self.actions.place(request.channel_id), by=actor
        ):
            await self.actions.answers.send_private(request, offer_message(request.channel_id))

    async def archived(self, request: SlackRequest) -> None:
        """End the subscriptions of a channel that was archived."""
        await self._end(request, CHANNEL_ARCHIVED)

    async def deleted(self, request: SlackRequest) -> None:
        """End the subscriptions of a channel that was deleted."""
        await self._end(request, CHANNEL_DELETED)

    async def left(self, request: SlackRequest) -> None:
        """End the subscriptions of a channel that the bot was removed from."""
        await self._end(request, BOT_REMOVED)

    async def _end(self, request: SlackRequest, reason: str) -> None:
        """End the subscriptions of a channel, and tell the people who made them."""
        if request.channel_id is None:
            return
        place = self.actions.place(request.channel_id)
        ended = await self.actions.subscriptions.end_of_channel(place, reason=reason)
        if not ended:
            return
        log.info(
            "%d subscriptions of channel %s have ended: %s",
            len(ended),
            request.channel_id,
            reason,
            extra={
                "event": "subscriptions.ended",
                "channel_id": request.channel_id,
                "count": len(ended),
                "reason": reason,
            },
        )
        by_author: dict[UUID, list[Subscription]] = defaultdict(list)
        for one in ended:
            if one.created_by_id is not None:
                by_author[one.created_by_id].append(one)
        authors = await self.actions.people.find_users(by_author)
        for author_id, own in by_author.items():
            author = authors.get(author_id)
            if author is not None and author.slack_user_id is not None:
                message = ended_message(request.channel_id, own, reason=reason)
                await self.actions.answers.tell_directly(author.slack_user_id, message)
