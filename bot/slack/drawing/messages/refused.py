"""What follows when Slack refuses a message: post it again, replace it, or give it up."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bot.slack.client.errors import SlackRefused
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.drawing.diff import DELETED, ActionKind, DrawAction
from bot.slack.drawing.messages.posting import Poster
from bot.slack.drawing.messages.replacing import (
    UNKNOWN_REFUSALS,
    Verdict,
    reset_for_repost,
    seconds_until_replaceable,
    verdict,
)
from bot.slack.drawing.notices import Notices
from bot.slack.drawing.scene import Scene
from bot.slack.ports import Drawables
from bot.slack.views.message import ThreadFile
from core.domain.drawables import DrawableId, SlackMessage

log = logging.getLogger(__name__)


class BotBlocked(Exception):
    """Slack refuses every call of this bot until somebody repairs the installation."""


class SlotPostponed(Exception):
    """One message of a drawable cannot be drawn now; the others can."""


def raise_refusal(error: SlackRefused) -> None:
    """Raise a refusal that is not about the message itself.

    Raises:
        BotBlocked: Slack refuses the bot itself.
        SlackRefused: Anything else.
    """
    if refusal_kind(error.name) is RefusalKind.BOT_BLOCKED:
        raise BotBlocked(str(error)) from error
    raise error


@dataclass
class Refusals:
    """Handles refusals.

    Attributes:
        clock: The current time, in UTC.
        now: A monotonic clock in seconds.
    """

    drawables: Drawables
    poster: Poster
    notices: Notices
    clock: Callable[[], datetime]
    now: Callable[[], float]
    # Consecutive refusals with unknown names.
    _unknown: Counter[tuple[DrawableId, str]] = field(default_factory=Counter)
    # When an update that was refused for good is tried again, by `now`.
    _postponed: dict[tuple[DrawableId, str], float] = field(default_factory=dict)

    def is_postponed(self, scene: Scene, slot: str) -> bool:
        """Whether a message waits for its replacement; the end of its subject does not wait."""
        at = self._postponed.get((scene.drawable.id, slot))
        return at is not None and at > self.now() and not scene.is_final

    def forget(self, drawable: DrawableId, slot: str) -> None:
        """Forget the refusals of a message that Slack has accepted."""
        self._unknown.pop((drawable, slot), None)
        self._postponed.pop((drawable, slot), None)

    async def handle(self, scene: Scene, action: DrawAction, error: SlackRefused) -> None:
        """Store what follows from a refusal; the drawable is then compared again.

        Raises:
            BotBlocked: Slack refuses the bot itself.
            SlotPostponed: The message cannot be changed now, and will be replaced later.
            SlackRefused: Try again later.
            Unavailable: The database cannot be reached.
        """
        refusal = self._meaning(scene, action, error)
        if refusal in {RefusalKind.BOT_BLOCKED, RefusalKind.TRANSIENT}:
            raise_refusal(error)
        fresh = await self.drawables.drawable(scene.drawable.id)
        shown = fresh.messages.get(action.slot) if fresh is not None else None
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
        is_update = action.kind is ActionKind.UPDATE
        if refusal is RefusalKind.MESSAGE_LOST and is_head and shown.attempts == 0 and root:
            # Somebody deleted the head: post it again, only once, at the end of its own thread.
            await self._repost(shown, thread_ts=root, replaced=None)
        elif refusal is RefusalKind.THREAD_CLOSED and is_head and shown.thread_ts:
            await self._repost(shown, thread_ts=None, replaced=shown.message_ts)
        elif is_update and refusal in {RefusalKind.MESSAGE_FROZEN, RefusalKind.CONTENT_REFUSED}:
            await self._replace(scene, shown, error, thread_ts=root if is_head else shown.thread_ts)
        elif refusal is RefusalKind.CONTENT_REFUSED:
            await self._give_up(scene, shown, error)
        else:
            reason = DELETED if refusal is RefusalKind.MESSAGE_LOST else error.name
            await self.poster.mark_lost(shown, reason, now=self.clock())

    def _meaning(self, scene: Scene, action: DrawAction, error: SlackRefused) -> RefusalKind:
        if isinstance(action.message, ThreadFile) and error.name == "missing_scope":
            # Without the scope for files, everything else can still be shown.
            return RefusalKind.FILE_REFUSED
        refusal = refusal_kind(error.name)
        if refusal is RefusalKind.TRANSIENT and action.kind is ActionKind.UPDATE:
            # Slack adds names of errors; an update must not be tried for ever because of one.
            key = scene.drawable.id, action.slot
            self._unknown[key] += 1
            if self._unknown[key] >= UNKNOWN_REFUSALS:
                return RefusalKind.MESSAGE_FROZEN
        return refusal

    async def _replace(
        self, scene: Scene, shown: SlackMessage, error: SlackRefused, *, thread_ts: str | None
    ) -> None:
        now = self.clock()
        match verdict(shown, is_final=scene.is_final, now=now):
            case Verdict.REPLACE:
                log.warning(
                    "%s of %s cannot be changed (%s): a new message replaces it",
                    shown.slot,
                    scene.drawable.id,
                    error.name,
                    extra={
                        "event": "message.replaced",
                        "slot": shown.slot,
                        "error": error.name,
                        "attempt": shown.attempts + 1,
                        **scene.drawable.id.log_fields,
                    },
                )
                self.forget(scene.drawable.id, shown.slot)
                await self._repost(shown, thread_ts=thread_ts, replaced=shown.message_ts)
            case Verdict.WAIT:
                wait = seconds_until_replaceable(shown, now)
                self._postponed[scene.drawable.id, shown.slot] = self.now() + wait
                raise SlotPostponed from error
            case Verdict.GIVE_UP:
                await self._give_up(scene, shown, error)

    async def _give_up(self, scene: Scene, shown: SlackMessage, error: SlackRefused) -> None:
        log.error(
            "%s of %s is given up: slack refuses it (%s)",
            shown.slot,
            scene.drawable.id,
            error.name,
            extra={
                "event": "message.given_up",
                "slot": shown.slot,
                "error": error.name,
                **scene.drawable.id.log_fields,
            },
        )
        await self.poster.mark_lost(shown, error.name, now=self.clock())
        await self.notices.tell_given_up(scene, shown, error.name)

    async def _repost(
        self, shown: SlackMessage, *, thread_ts: str | None, replaced: str | None
    ) -> None:
        await self.drawables.save_message(
            reset_for_repost(shown, thread_ts=thread_ts, replaced=replaced, now=self.clock())
        )
