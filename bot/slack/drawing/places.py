"""Where a drawable is shown: its channel, or the direct conversation with a person."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from bot.slack.client.errors import SlackRefused
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.drawing.diff import ActionKind, DrawAction
from bot.slack.ports import MessageStore
from core.domain.drawables import Drawable, SlackMessage, SlackMessageState

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlaceFinder:
    """Resolves the channel of an action.

    Attributes:
        direct_channel: Opens the direct conversation with a person, and returns its id.
    """

    store: MessageStore
    direct_channel: Callable[[str], Awaitable[str]]
    clock: Callable[[], datetime]

    async def channel_of(self, drawable: Drawable, action: DrawAction) -> str | None:
        """The id of the channel to send to; for a Home tab, the id of the person.

        Returns:
            The id.  `None` if the person has no direct channel; the slot is then stored as lost.

        Raises:
            SlackError: The direct channel cannot be opened now; try again later.
            Unavailable: The database cannot be reached.
        """
        user_id = drawable.place.user_id
        if action.channel_id is not None or user_id is None:
            return action.channel_id
        if action.kind is ActionKind.PUBLISH:
            return user_id
        try:
            return await self.direct_channel(user_id)
        except SlackRefused as error:
            if refusal_kind(error.name) is not RefusalKind.PLACE_LOST:
                raise
            # The person has left the team, or does not accept messages from apps.
            log.info(
                "%s of %s has no direct channel: %s",
                action.slot,
                drawable.id,
                error.name,
                extra={
                    "event": "direct_channel.open_failed",
                    "slot": action.slot,
                    "user_id": user_id,
                    "error": error.name,
                    **drawable.id.log_fields,
                },
            )
            row = SlackMessage(
                id=action.current.id if action.current else uuid4(),
                drawable_kind=drawable.id.kind,
                thread_key=drawable.id.key,
                slot=action.slot,
                channel_id="",
                state=SlackMessageState.GONE,
                error=error.name,
                version=drawable.desired_version,
                updated_at=self.clock(),
            )
            await self.store.save_message(row)
            return None
