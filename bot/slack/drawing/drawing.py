"""Brings one drawable up to date, one Slack call at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from bot.slack.client.rate_limits import LongWait, Priority, RateLimiter
from bot.slack.drawing.diff import ActionKind, DrawAction, next_action
from bot.slack.drawing.kinds import DrawnKinds
from bot.slack.drawing.messages.rechecks import Rechecked, Rechecks
from bot.slack.drawing.messages.refused import SlotPostponed
from bot.slack.drawing.messages.replacing import with_notes
from bot.slack.drawing.messages.sending import Sender
from bot.slack.drawing.messages.uncertain_writes import UncertainWrites
from bot.slack.drawing.notices import Notices
from bot.slack.drawing.permits import Permits
from bot.slack.drawing.places import PlaceFinder
from bot.slack.drawing.scene import Scene
from bot.slack.drawing.update_gaps import UpdateGaps
from bot.slack.ports import Drawables
from core.domain.drawables import (
    DrawableId,
)

log = logging.getLogger(__name__)


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
        permits: The waits for permits of the rate limiter.
        gaps: The waits for the next update of a message.
    """

    drawables: Drawables
    kinds: DrawnKinds
    sender: Sender
    rechecks: Rechecks
    places: PlaceFinder
    rate_limiter: RateLimiter
    clock: Callable[[], datetime]
    now: Callable[[], float]
    uncertain_writes: UncertainWrites
    notices: Notices
    permits: Permits
    gaps: UpdateGaps
    archive_url: str = ""

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
        rechecked: Rechecked = set()
        held: set[str] = set()
        scene: Scene | None = None
        while True:
            scene = await self._read(drawable, scene)
            if scene is None:
                await self._forget(drawable)
                return False
            if await self.rechecks.repair_due(scene, rechecked):
                continue
            action = self._next_action(scene, held)
            if action is None and held:
                raise HeldBack(is_live=not scene.is_final)
            if action is None:
                return await self._record_drawn(scene, rechecked)
            try:
                await self._perform(scene, action, held, is_idle=is_idle)
            except (LongWait, SlotPostponed) as error:
                held.add(action.slot)
                if isinstance(error, LongWait):
                    await self._tell_limited(scene, action)

    def raise_priority(self, drawable: DrawableId, priority: Priority) -> None:
        """Move a waiting drawable forward."""
        self.permits.raise_priority(drawable, priority)

    def look_again(self, drawable: DrawableId) -> None:
        """Look again at a waiting drawable, for which somebody waits now."""
        self.permits.look_again(drawable)
        self.gaps.end(drawable)

    @property
    def waiting(self) -> frozenset[DrawableId]:
        """The drawables that wait for a permit, or for the end of a routine gap."""
        return frozenset((*self.permits.waiting, *self.gaps.waiting))

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
        """The next action; while an update would have to wait for a permit, a post if one is due.

        A reply that tells something is posted at once, though many cards change.
        """
        now = self.clock()
        messages = scene.drawable.messages
        desired = with_notes(
            scene.kind.draw(scene.subject, now), messages, archive_url=self.archive_url
        )

        find = partial(
            next_action,
            messages,
            desired,
            channel_id=scene.drawable.place.channel_id,
            now=now,
            held=held,
        )
        action = find()
        if (
            action is not None
            and action.kind is ActionKind.UPDATE
            and self.rate_limiter.must_wait(action.method)
        ):
            return find(posts_only=True) or action
        return action

    async def _tell_limited(self, scene: Scene, action: DrawAction) -> None:
        channel_id = action.channel_id or scene.drawable.place.channel_id
        if limit := self.notices.limits.of(action.method, channel_id):
            await self.notices.tell_limited(scene, limit)

    async def _perform(
        self, scene: Scene, action: DrawAction, held: Collection[str], *, is_idle: bool
    ) -> None:
        """Execute an action, once there is a permit.

        Raises:
            LongWait: Slack limits the method for long.
            SlotPostponed: The message waits for its replacement.
        """
        if action.kind is ActionKind.UPDATE and self.sender.refusals.is_postponed(
            scene, action.slot
        ):
            raise SlotPostponed
        if action.kind is ActionKind.FIND:
            await self.sender.find(scene, action)
            return
        now_due = await self._after_gap(scene, action, held, is_idle=is_idle)
        if now_due is None:
            return
        scene, action = now_due
        priority = scene.kind.priority(scene.subject, action, is_idle)
        channel_id = await self.places.channel_of(scene.drawable, action)
        if channel_id is None:
            return
        permitted = await self._permitted(
            scene, replace(action, channel_id=channel_id), priority, held
        )
        if permitted is not None:
            await self.sender.send(*permitted)

    async def _after_gap(
        self, scene: Scene, action: DrawAction, held: Collection[str], *, is_idle: bool
    ) -> tuple[Scene, DrawAction] | None:
        """Wait until the message may be updated again.

        Returns:
            The state and the action after that; `None` if another action is due then.
        """
        last = self.sender.updated_at.get((scene.drawable.id, action.slot))
        is_change = action.kind in {ActionKind.UPDATE, ActionKind.PUBLISH}
        if not is_change or action.current is None or last is None:
            return scene, action
        priority = scene.kind.priority(scene.subject, action, is_idle)
        if not await self.gaps.wait(scene.drawable.id, last, priority):
            return scene, action
        return await self._renewed(scene, action, held)

    async def _permitted(
        self, scene: Scene, action: DrawAction, priority: Priority, held: Collection[str]
    ) -> tuple[Scene, DrawAction] | None:
        """Wait for a permit to execute an action.

        Returns:
            The state and the action with it; `None`, without a permit, if another action is due.

        Raises:
            LongWait: Slack limits the method for long.
        """
        method, channel_id = action.method, action.channel_id
        ticket = self.rate_limiter.enqueue(method, channel=channel_id, priority=priority)
        if ticket.is_granted:
            return scene, action

        async def look() -> Priority | None:
            fresh = await self._read(scene.drawable.id, scene)
            due = self._next_action(fresh, held) if fresh is not None else None
            if fresh is None or due is None:
                return None
            is_other = (due.kind, due.slot) != (action.kind, action.slot)
            if is_other and due.kind is not ActionKind.UPDATE:
                return None
            return fresh.kind.priority(fresh.subject, due, False)

        if not await self.permits.wait(scene.drawable.id, ticket, look):
            return None
        try:
            renewed = await self._renewed(scene, action, held)
        except BaseException:
            self.rate_limiter.return_permit(method, channel=channel_id)
            raise
        if renewed is None:
            self.rate_limiter.return_permit(method, channel=channel_id)
            return None
        return renewed[0], replace(renewed[1], channel_id=channel_id)

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

    async def _record_drawn(self, scene: Scene, rechecked: Rechecked) -> bool:
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
