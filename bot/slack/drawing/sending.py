"""Executes single actions on messages, and handles their failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.client.web_api import RateLimited, SlackRefused, SlackUnreachable
from bot.slack.drawing.diff import DELETED, ActionKind, DrawAction
from bot.slack.drawing.finder import MessageFinder
from bot.slack.drawing.kinds import DrawnKind
from bot.slack.drawing.posting import UNSENT, Destination, Poster
from bot.slack.drawing.uncertain_writes import UncertainWrites
from bot.slack.ports import Drawables, Leadership
from bot.slack.views.message import HomeView, Message, TextFile
from core.domain.drawables import (
    Drawable,
    DrawableId,
    SlackMessage,
    SlackMessageState,
    UncertainWriteKind,
)
from core.domain.errors import Unavailable

log = logging.getLogger(__name__)

# A post without a response may still arrive; the search for it starts only after this time.
ARRIVAL_WINDOW = timedelta(seconds=3)


class BotBlocked(Exception):
    """Slack refuses every call of this bot until somebody repairs the installation."""


class LeadershipLost(Unavailable):
    """Another process may be drawing now."""

    code = "leadership_lost"

    def __init__(self) -> None:
        super().__init__("not sure to be the one that draws", user_message="Try again.")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A drawable, its kind, and the subject it is drawn from."""

    drawable: Drawable
    kind: DrawnKind[Any]
    subject: Any


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
            await self._handle_refusal(scene, action, error)

    async def _call_slack(self, scene: Scene, action: DrawAction, now: datetime) -> None:
        version = scene.drawable.desired_version
        destination = Destination(
            drawable=scene.drawable.id,
            slot=action.slot,
            channel_id=action.channel_id or "",
            thread_ts=action.thread_ts,
            version=version,
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
            case TextFile() as file:
                await self.poster.upload(
                    file, destination=destination, previous=action.current, now=now
                )
            case HomeView() as home:
                await self.poster.publish(
                    home, destination=destination, previous=action.current, now=now
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
            file = action.message if isinstance(action.message, TextFile) else None
            found = await self.finder.find(action.current, file=file, now=self.clock())
        except SlackRefused as error:
            if refusal_kind(error.name) in {RefusalKind.BOT_BLOCKED, RefusalKind.TRANSIENT}:
                self._raise_refusal(error)
            found = None
        if found is None:
            await self.uncertain_writes.add(
                scene.drawable.id, action.slot, UncertainWriteKind.POSTED_TWICE
            )
            await self.poster.mark_unsent(action.current, now=self.clock())

    async def _handle_refusal(self, scene: Scene, action: DrawAction, error: SlackRefused) -> None:
        refusal = refusal_kind(error.name)
        if isinstance(action.message, TextFile) and error.name == "missing_scope":
            # Without the scope for files, everything else can still be shown.
            refusal = RefusalKind.FILE_REFUSED
        await self._mark_unsent(scene, action)
        if refusal in {RefusalKind.BOT_BLOCKED, RefusalKind.TRANSIENT}:
            self._raise_refusal(error)
        shown = await self._shown(scene, action.slot)
        if shown is None:
            return
        log.info(
            "%s of %s was refused: %s",
            action.slot,
            scene.drawable.id,
            error.name,
            extra={
                "event": "message.refused",
                "slot": action.slot,
                "error": error.name,
                **scene.drawable.id.log_fields,
            },
        )
        root = shown.thread_ts or shown.message_ts
        is_head = action.slot == scene.kind.head
        if refusal is RefusalKind.MESSAGE_LOST and is_head and shown.attempts == 0 and root:
            # Somebody deleted the head: post it again, only once, at the end of its own thread.
            await self._reset_for_repost(shown, thread_ts=root)
        elif refusal is RefusalKind.THREAD_CLOSED and is_head and shown.thread_ts:
            await self._reset_for_repost(shown, thread_ts=None)
        else:
            reason = DELETED if refusal is RefusalKind.MESSAGE_LOST else error.name
            await self.poster.mark_lost(shown, reason, now=self.clock())

    async def _reset_for_repost(self, shown: SlackMessage, *, thread_ts: str | None) -> None:
        await self.drawables.save_message(
            replace(
                shown,
                state=SlackMessageState.GONE,
                error=UNSENT,
                message_ts=None,
                thread_ts=thread_ts,
                content_hash=None,
                attempts=shown.attempts + 1,
                updated_at=self.clock(),
            )
        )

    def _raise_refusal(self, error: SlackRefused) -> None:
        if refusal_kind(error.name) is RefusalKind.BOT_BLOCKED:
            raise BotBlocked(str(error)) from error
        raise error
