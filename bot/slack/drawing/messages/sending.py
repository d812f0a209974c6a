"""Executes single actions on messages, and handles their failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.slack.client.errors import RateLimited, SlackError, SlackRefused, SlackUnreachable
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.drawing.diff import ActionKind, DrawAction
from bot.slack.drawing.messages.finder import MessageFinder
from bot.slack.drawing.messages.posting import Destination, Poster
from bot.slack.drawing.messages.refused import Refusals, raise_refusal
from bot.slack.drawing.messages.uncertain_writes import UncertainWrites
from bot.slack.drawing.scene import Scene
from bot.slack.ports import Drawables, Leadership
from bot.slack.views.message import HomeView, Message, PictureFile, TextFile, ThreadFile
from core.domain.drawables import (
    DrawableId,
    SlackMessage,
    SlackMessageState,
    UncertainWriteKind,
)
from core.domain.errors import Unavailable

log = logging.getLogger(__name__)

# A post without a response may still arrive; the search for it starts only after this time.
ARRIVAL_WINDOW = timedelta(seconds=3)


class LeadershipLost(Unavailable):
    """Another process may be drawing now."""

    code = "leadership_lost"

    def __init__(self) -> None:
        super().__init__("not sure to be the one that draws", user_message="Try again.")


@dataclass
class Sender:
    """Executes actions.  Before each post, the row gets the state `SENDING`.

    Attributes:
        clock: The current time, in UTC.
        now: A monotonic clock in seconds.
        leadership: If it is set and not exclusive, nothing is sent.
        arrival_window: How long a post without a response may still arrive.
        updated_at: When each message was last updated, by `now`.
    """

    drawables: Drawables
    poster: Poster
    finder: MessageFinder
    uncertain_writes: UncertainWrites
    refusals: Refusals
    clock: Callable[[], datetime]
    now: Callable[[], float]
    leadership: Leadership | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    arrival_window: timedelta = ARRIVAL_WINDOW
    updated_at: dict[tuple[DrawableId, str], float] = field(default_factory=dict)

    async def send(self, scene: Scene, action: DrawAction) -> None:
        """Execute an action; the caller holds the permit.

        A rate limit raises nothing: the drawable stays outdated, and the caller tries again.  The
        same is true for a post without a response, and for a refusal of the message itself.

        Raises:
            BotBlocked: Slack refuses the bot itself.
            SlotPostponed: The message cannot be changed now, and will be replaced later.
            LeadershipLost: Another process may be drawing now.
            SlackError: A call to Slack failed; try again later.
            Unavailable: The database cannot be reached.
        """
        if self.leadership is not None and not self.leadership.is_exclusive:
            raise LeadershipLost
        drawable_id = scene.drawable.id
        try:
            await self._call_slack(scene, action, self.clock())
        except RateLimited as error:
            log.info(
                "%s of %s is postponed: %s",
                action.slot,
                drawable_id,
                error,
                extra={
                    "event": "message.postponed",
                    "slot": action.slot,
                    "retry_seconds": error.seconds,
                    **drawable_id.log_fields,
                },
            )
            await self._mark_unsent(scene, action)
        except SlackUnreachable as error:
            # A post may have arrived: its row stays `SENDING`, so a search comes next.
            log.warning(
                "%s of %s may be lost: %s",
                action.slot,
                drawable_id,
                error,
                extra={"event": "message.uncertain", "slot": action.slot, **drawable_id.log_fields},
            )
            if action.kind is not ActionKind.POST:
                await self.uncertain_writes.add(
                    drawable_id, action.slot, UncertainWriteKind.OVERWRITTEN
                )
                raise
            await self._restart_arrival_window(scene, action)
        except SlackRefused as error:
            await self._mark_unsent(scene, action)
            await self.refusals.handle(scene, action, error)
        else:
            self.refusals.forget(drawable_id, action.slot)

    async def _call_slack(self, scene: Scene, action: DrawAction, now: datetime) -> None:
        version = scene.drawable.desired_version
        # The row of a message that replaces another one names that until it is posted itself.
        current = action.current if action.kind is ActionKind.POST else None
        replaced = (current.message_ts or None) if current is not None else None
        destination = Destination(
            drawable=scene.drawable.id,
            slot=action.slot,
            channel_id=action.channel_id or "",
            thread_ts=action.thread_ts,
            version=version,
            # The channel still shows the old card: the new one, in its thread, is shown there too.
            is_broadcast=(action.slot == scene.kind.head and replaced is not None)
            or (isinstance(action.message, Message) and action.message.is_broadcast),
        )
        if action.kind in {ActionKind.UPDATE, ActionKind.PUBLISH}:
            self.updated_at[scene.drawable.id, action.slot] = self.now()
        match action.message:
            case Message() as message if action.kind is ActionKind.UPDATE and action.current:
                await self.poster.update(message, action.current, version=version, now=now)
            case Message() as message:
                await self.poster.post(
                    message, destination=destination, previous=action.current, now=now
                )
                if replaced:
                    await self._delete(scene, action, replaced)
            case TextFile() | PictureFile() as file:
                await self.poster.upload(
                    file, destination=destination, previous=action.current, now=now
                )
            case HomeView() as home:
                await self.poster.publish(
                    home, destination=destination, previous=action.current, now=now
                )

    async def _delete(self, scene: Scene, action: DrawAction, ts: str) -> None:
        """Delete a message that was replaced; if that fails, it stays beside the new one."""
        try:
            await self.finder.delete(action.channel_id or "", ts)
        except SlackError as error:
            log.info(
                "a replaced %s of %s stays: %s",
                action.slot,
                scene.drawable.id,
                error,
                extra={
                    "event": "replaced_message.kept",
                    "slot": action.slot,
                    **scene.drawable.id.log_fields,
                },
            )

    async def _mark_unsent(self, scene: Scene, action: DrawAction) -> None:
        """Let the next attempt post without a search, because Slack has not accepted this one."""
        row = await self._begun_post(scene, action)
        if row is not None:
            await self.poster.mark_unsent(row, now=self.clock())

    async def _restart_arrival_window(self, scene: Scene, action: DrawAction) -> None:
        """Restart the time in which a post may still arrive."""
        row = await self._begun_post(scene, action)
        if row is not None:
            await self.drawables.save_message(replace(row, updated_at=self.clock()))

    async def _begun_post(self, scene: Scene, action: DrawAction) -> SlackMessage | None:
        """The row of a post in progress; `None` if the action is no post or has a result."""
        if action.kind is not ActionKind.POST:
            return None
        row = await self._shown(scene, action.slot)
        return row if row is not None and row.state is SlackMessageState.SENDING else None

    async def _shown(self, scene: Scene, slot: str) -> SlackMessage | None:
        fresh = await self.drawables.drawable(scene.drawable.id)
        return fresh.messages.get(slot) if fresh is not None else None

    async def find(self, scene: Scene, action: DrawAction) -> None:
        """Search for a message whose post had no response; mark it unsent if it is not found.

        Raises:
            BotBlocked: Slack refuses the bot itself.
            SlackError: A call to Slack failed; try again later.
            Unavailable: The database cannot be reached.
        """
        if action.current is None:
            return
        age = self.clock() - action.current.updated_at
        if age < self.arrival_window:
            await self.sleep((self.arrival_window - age).total_seconds())
        try:
            file = action.message if isinstance(action.message, ThreadFile) else None
            found = await self.finder.find(action.current, file=file, now=self.clock())
        except SlackRefused as error:
            if refusal_kind(error.name) in {RefusalKind.BOT_BLOCKED, RefusalKind.TRANSIENT}:
                raise_refusal(error)
            found = None
        replaced = action.current.message_ts
        if found is not None and replaced and replaced != found.message_ts:
            await self._delete(scene, action, replaced)
        if found is None:
            await self.uncertain_writes.add(
                scene.drawable.id, action.slot, UncertainWriteKind.POSTED_TWICE
            )
            await self.poster.mark_unsent(action.current, now=self.clock())
