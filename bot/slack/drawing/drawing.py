"""Brings one drawable up to date, one Slack call at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.slack.client.errors import RateLimited
from bot.slack.client.rate_limits import LongWait, Priority, RateLimiter, Ticket
from bot.slack.drawing.diff import ActionKind, DrawAction, next_action
from bot.slack.drawing.finder import MessageFinder
from bot.slack.drawing.kinds import DrawnKinds
from bot.slack.drawing.notices import Notices
from bot.slack.drawing.places import PlaceFinder
from bot.slack.drawing.refused import SlotPostponed
from bot.slack.drawing.replacing import with_notes
from bot.slack.drawing.scene import Scene
from bot.slack.drawing.sending import Sender
from bot.slack.drawing.uncertain_writes import UncertainWrites
from bot.slack.ports import Drawables
from bot.slack.views.message import TextFile
from core.domain.drawables import (
    DrawableId,
    SlackMessage,
    SlackMessageState,
    UncertainWriteKind,
)

log = logging.getLogger(__name__)

# The minimum time between two updates of one message; Slack's clients show no faster ones.
UPDATE_GAP = timedelta(seconds=1.2)
# The same while a run works and nobody waits: each update takes some 40 ms of processor time, and
# nobody reads counts that change more often.
ROUTINE_GAP = timedelta(seconds=2.5)

_Rechecked = set[tuple[str, UncertainWriteKind]]


class HeldBack(Exception):
    """Some messages of a drawable cannot be drawn now; everything else is drawn.

    Attributes:
        is_live: Whether the drawable is live.
    """

    def __init__(self, *, is_live: bool) -> None:
        super().__init__("some messages cannot be drawn now")
        self.is_live = is_live


@dataclass
class Drawer:
    """Draws drawables.  Each has at most one task at a time; all share the rate limits.

    Attributes:
        clock: The current time, in UTC.
        now: A monotonic clock in seconds.
        archive_url: The beginning of the addresses of messages; empty if it is not known.
        tickets: The rate limiter's tickets of the drawables that wait for a permit.
        pauses: An event for each drawable that waits for the end of its `ROUTINE_GAP`.
    """

    drawables: Drawables
    kinds: DrawnKinds
    sender: Sender
    finder: MessageFinder
    places: PlaceFinder
    rate_limiter: RateLimiter
    clock: Callable[[], datetime]
    now: Callable[[], float]
    uncertain_writes: UncertainWrites
    notices: Notices
    archive_url: str = ""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tickets: dict[DrawableId, Ticket] = field(default_factory=dict)
    pauses: dict[DrawableId, asyncio.Event] = field(default_factory=dict)

    async def reconcile(self, drawable: DrawableId, *, is_idle: bool = False) -> bool:
        """Bring a drawable up to date.

        Args:
            drawable: The drawable.
            is_idle: Only elapsed times need a refresh, so the calls have the lowest priority.

        Returns:
            Whether it is live, and so needs regular refreshes.

        Raises:
            BotBlocked: Slack refuses the bot itself.
            HeldBack: Slack limits a method for long, or a message waits for its replacement.
            LeadershipLost: Another process may be drawing now.
            SlackError: A call to Slack failed; try again later.
            Unavailable: The database cannot be reached.
        """
        rechecked: _Rechecked = set()
        held: set[str] = set()
        scene: Scene | None = None
        while True:
            scene = await self._read(drawable, scene)
            if scene is None:
                await self._forget(drawable)
                return False
            if await self._recheck_uncertain(scene, rechecked):
                continue
            action = self._next_action(scene, held)
            if action is None and held:
                raise HeldBack(is_live=not scene.is_final)
            if action is None:
                return await self._record_drawn(scene, rechecked)
            priority = scene.kind.priority(scene.subject, action, is_idle)
            try:
                await self._perform(scene, action, priority, held)
            except (LongWait, SlotPostponed) as error:
                held.add(action.slot)
                if isinstance(error, LongWait):
                    await self._tell_limited(scene, action)

    def raise_priority(self, drawable: DrawableId, priority: Priority) -> None:
        """Move a waiting drawable forward."""
        ticket = self.tickets.get(drawable)
        if ticket is not None:
            ticket.raise_to(priority)
        pause = self.pauses.get(drawable)
        if pause is not None and not _is_routine(priority):
            pause.set()

    @property
    def waiting(self) -> frozenset[DrawableId]:
        """The drawables that wait for a permit, or for the end of a routine gap."""
        return frozenset((*self.tickets, *self.pauses))

    async def _read(self, drawable_id: DrawableId, known: Scene | None) -> Scene | None:
        """Read a drawable; read its subject again only if the desired version has risen."""
        drawable = await self.drawables.drawable(drawable_id)
        kind = self.kinds.get(drawable_id.kind)
        if drawable is None or kind is None:
            return None
        if known is not None and known.drawable.desired_version == drawable.desired_version:
            return replace(known, drawable=drawable)
        subject = await kind.read(drawable_id.key)
        if subject is None:
            await self.drawables.record_drawn(
                drawable_id, version=drawable.desired_version, is_live=False
            )
            return None
        return Scene(drawable=drawable, kind=kind, subject=subject)

    async def _forget(self, drawable: DrawableId) -> None:
        """Resolve the uncertain writes of a drawable that no longer exists."""
        for slot, kind in self.uncertain_writes.due(drawable):
            await self.uncertain_writes.resolve(drawable, slot, kind)

    def _next_action(self, scene: Scene, held: Collection[str]) -> DrawAction | None:
        now = self.clock()
        messages = scene.drawable.messages
        desired = scene.kind.draw(scene.subject, now)
        return next_action(
            messages,
            with_notes(desired, messages, archive_url=self.archive_url),
            channel_id=scene.drawable.place.channel_id,
            now=now,
            held=held,
        )

    async def _tell_limited(self, scene: Scene, action: DrawAction) -> None:
        channel_id = action.channel_id or scene.drawable.place.channel_id
        limit = self.notices.limits.of(action.method, channel_id)
        if limit is not None:
            await self.notices.tell_limited(scene, limit)

    async def _perform(
        self, scene: Scene, action: DrawAction, priority: Priority, held: Collection[str]
    ) -> None:
        """Execute an action, once there is a permit.

        Raises:
            LongWait: Slack limits the method for long.
            SlotPostponed: The message waits for its replacement.
        """
        is_update = action.kind is ActionKind.UPDATE
        if is_update and self.sender.refusals.is_postponed(scene, action.slot):
            raise SlotPostponed
        if action.kind is ActionKind.FIND:
            await self.sender.find(scene, action)
            return
        if (
            action.kind in {ActionKind.UPDATE, ActionKind.PUBLISH}
            and action.current is not None
            and await self._wait_update_gap(scene, action.slot, priority)
        ):
            renewed = await self._renewed(scene, action, held)
            if renewed is None:
                return
            scene, action = renewed
        channel_id = await self.places.channel_of(scene.drawable, action)
        if channel_id is None:
            return
        action = replace(action, channel_id=channel_id)
        method = action.method
        ticket = self.rate_limiter.enqueue(method, channel=channel_id, priority=priority)
        if not ticket.is_granted:
            drawable_id = scene.drawable.id
            self.tickets[drawable_id] = ticket
            try:
                await ticket.wait_granted()
            finally:
                self.tickets.pop(drawable_id, None)
            try:
                renewed = await self._renewed(scene, action, held)
            except BaseException:
                self.rate_limiter.return_permit(method, channel=channel_id)
                raise
            if renewed is None:
                self.rate_limiter.return_permit(method, channel=channel_id)
                return
            scene, action = renewed[0], replace(renewed[1], channel_id=channel_id)
        await self.sender.send(scene, action)

    async def _renewed(
        self, scene: Scene, action: DrawAction, held: Collection[str]
    ) -> tuple[Scene, DrawAction] | None:
        """Read again after a wait, so that the newest state is sent.

        Returns:
            The present state, and the action with it; `None` if another action is due now.
        """
        fresh = await self._read(scene.drawable.id, scene)
        fresh_action = self._next_action(fresh, held) if fresh is not None else None
        if (
            fresh is None
            or fresh_action is None
            or (fresh_action.kind, fresh_action.slot) != (action.kind, action.slot)
        ):
            return None
        return fresh, fresh_action

    async def _recheck_uncertain(self, scene: Scene, rechecked: _Rechecked) -> bool:
        """Repair the effects of calls that Slack executed late.

        The writes stay recorded as uncertain until the drawable is up to date again, in case
        this process dies before that.

        Returns:
            Whether there was anything to check.
        """
        due = set(self.uncertain_writes.due(scene.drawable.id)) - rechecked
        for slot, kind in sorted(due):
            row = scene.drawable.messages.get(slot)
            if row is None or row.state is not SlackMessageState.SHOWN:
                continue
            try:
                await self._repair(scene, row, kind)
            except RateLimited as error:
                if not error.is_long:
                    raise
                # Drawing does not wait for it: the write is checked again in a minute.
                await self.uncertain_writes.add(scene.drawable.id, slot, kind)
        rechecked |= due
        return bool(due)

    async def _repair(self, scene: Scene, row: SlackMessage, kind: UncertainWriteKind) -> None:
        if kind is UncertainWriteKind.OVERWRITTEN:
            await self.drawables.save_message(replace(row, content_hash=None))
            return
        file = scene.kind.draw(scene.subject, self.clock()).get(row.slot)
        await self.finder.delete_duplicates(
            row, file=file if isinstance(file, TextFile) else None, now=self.clock()
        )

    async def _wait_update_gap(self, scene: Scene, slot: str, priority: Priority) -> bool:
        """Wait until a message may be updated again; return whether that took time."""
        drawable = scene.drawable.id
        last = self.sender.updated_at.get((drawable, slot))
        if last is None:
            return False
        first = last + UPDATE_GAP.total_seconds() - self.now()
        if first > 0:
            await self.sleep(first)
        rest = last + ROUTINE_GAP.total_seconds() - self.now()
        if not _is_routine(priority) or rest <= 0:
            return first > 0
        self.pauses[drawable] = raised = asyncio.Event()
        waits = [
            asyncio.ensure_future(self.sleep(rest)),
            asyncio.create_task(raised.wait(), name="wait for a higher priority"),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self.pauses[drawable]
            for wait in waits:
                wait.cancel()
        return True

    async def _record_drawn(self, scene: Scene, rechecked: _Rechecked) -> bool:
        """Record the drawn version and resolve the checked writes.  This is the last step.

        Returns:
            Whether the drawable is live.
        """
        drawable, subject = scene.drawable, scene.subject
        is_live = scene.kind.is_live(subject) and drawable.is_active(self.clock())
        # Before the version is recorded: if this process dies here, the next one requests them.
        for wanted in scene.kind.requests(subject, drawable.messages):
            await self.drawables.request(wanted)
        if drawable.drawn_version != drawable.desired_version or drawable.is_live != is_live:
            await self.drawables.record_drawn(
                drawable.id, version=drawable.desired_version, is_live=is_live
            )
        # A write that was added again meanwhile is no longer due, and stays.
        for slot, kind in rechecked.intersection(self.uncertain_writes.due(drawable.id)):
            await self.uncertain_writes.resolve(drawable.id, slot, kind)
        if not is_live:
            for key in [key for key in self.sender.updated_at if key[0] == drawable.id]:
                del self.sender.updated_at[key]
        return is_live


def _is_routine(priority: Priority) -> bool:
    """Whether nobody waits for what is drawn with this priority."""
    return priority in {Priority.STEP, Priority.IDLE}
