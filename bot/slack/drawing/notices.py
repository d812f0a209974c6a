"""Private notices to the owners of runs whose threads Slack does not let the bot keep true."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from bot.slack.client.long_limits import LongLimit, LongLimits
from bot.slack.drawing.scene import Scene
from bot.slack.views.message import Message
from bot.slack.views.notices import given_up_notice, limit_notice
from core.domain.drawables import DrawableId, SlackMessage
from core.domain.runs.snapshot import RunSnapshot

log = logging.getLogger(__name__)

# Readiness names messages that were given up for so long.
_GIVEN_UP_SHOWN = timedelta(hours=24)
_MAX_TRIES = 3


class PrivateTeller(Protocol):
    """Sends a private message by any method that works."""

    async def tell(self, user_id: str, message: Message, *, channel_id: str | None) -> bool:
        """Send a message to one person; return whether it was delivered."""
        ...


@dataclass
class Notices:
    """Tells the owner of a run what its thread cannot show.

    Attributes:
        clock: The current time, in UTC.
    """

    limits: LongLimits
    teller: PrivateTeller
    clock: Callable[[], datetime]
    _failed: dict[tuple[int, str], int] = field(default_factory=dict)
    _given_up: dict[tuple[DrawableId, str], datetime] = field(default_factory=dict)

    async def tell_limited(self, scene: Scene, limit: LongLimit) -> None:
        """Tell the owner that a thread is behind; each person once in an episode of limits."""
        leg, user_id = _leg_and_owner(scene)
        if leg is None or user_id is None or not self.limits.claim_notice(user_id):
            return
        notice = limit_notice(leg, limit, channel_id=scene.drawable.place.channel_id)
        if await self._tell(scene, user_id, notice):
            return
        key = self.limits.episode, user_id
        self._failed = {each: count for each, count in self._failed.items() if each[0] == key[0]}
        self._failed[key] = self._failed.get(key, 0) + 1
        if self._failed[key] < _MAX_TRIES:
            self.limits.return_notice(user_id)

    async def tell_given_up(self, scene: Scene, shown: SlackMessage, error: str) -> None:
        """Tell the owner that a message of the thread will stay as it is."""
        self._given_up[scene.drawable.id, shown.slot] = self.clock()
        leg, user_id = _leg_and_owner(scene)
        if leg is not None and user_id is not None:
            is_head = shown.slot == scene.kind.head
            notice = given_up_notice(
                leg, error, is_head=is_head, channel_id=scene.drawable.place.channel_id
            )
            await self._tell(scene, user_id, notice)

    def given_up_count(self) -> int:
        """How many messages were given up within a day."""
        since = self.clock() - _GIVEN_UP_SHOWN
        self._given_up = {key: at for key, at in self._given_up.items() if at > since}
        return len(self._given_up)

    async def _tell(self, scene: Scene, user_id: str, notice: Message) -> bool:
        is_told = await self.teller.tell(
            user_id, notice, channel_id=scene.drawable.place.channel_id
        )
        fields = {"user_id": user_id, **scene.drawable.id.log_fields}
        if is_told:
            log.info(
                "%s was told that %s is behind",
                user_id,
                scene.drawable.id,
                extra={"event": "notice.sent", **fields},
            )
        else:
            log.info(
                "%s cannot be told that %s is behind",
                user_id,
                scene.drawable.id,
                extra={"event": "notice.send_failed", **fields},
            )
        return is_told


def _leg_and_owner(scene: Scene) -> tuple[RunSnapshot | None, str | None]:
    leg = scene.kind.leg(scene.subject)
    owner = leg.owner if leg is not None else None
    return leg, owner.slack_user_id if owner is not None else None
