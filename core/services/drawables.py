"""The desired and the actual state of Slack, for the one process that draws."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.drawables import (
    Drawable,
    DrawableId,
    DrawableRequest,
    SlackHealth,
    SlackMessage,
    UncertainWrite,
    UncertainWriteKind,
)
from core.domain.feed import Change, ChangeKind
from core.services.context import ServiceContext
from core.services.feed import FeedService
from core.store import changes
from core.store.database import leadership
from core.store.database.advisory_locks import AdvisoryLock
from core.store.database.engine import translate_errors
from core.store.slack import drawables, slack_health, slack_messages, uncertain_writes

# The poll interval: how long a drawable can stay outdated without a notification.
_POLL = timedelta(seconds=5)
# Channels that were lost before this time are no longer polled.
_LOST_RETENTION = timedelta(days=30)
# Messages that changed within this time before a takeover may have been changing when the
# previous bot died.  The first messages of open drawables always may have been.
_RECENTLY_CHANGED = timedelta(minutes=2)


@dataclass(frozen=True)
class DrawableService:
    """The desired and the actual state of each drawable.

    The methods that read or write rows raise `Unavailable` if the database cannot be reached.
    """

    context: ServiceContext
    feed: FeedService

    async def outdated(
        self, *, team_id: str, kinds: Collection[str], limit: int = 50
    ) -> list[DrawableId]:
        """At most `limit` outdated drawables of these kinds, the longest untried first."""
        with translate_errors():
            return await drawables.outdated(
                self.context.database.reads, team_id=team_id, kinds=kinds, limit=limit
            )

    async def drawable(self, drawable: DrawableId) -> Drawable | None:
        """A drawable with the rows of its messages; `None` if it does not exist.

        A caller that reads the subject after this call gets a state that is at least as new as
        the version returned here.
        """
        with translate_errors():
            return await drawables.get(self.context.database.reads, drawable)

    async def record_health(self, health: SlackHealth) -> None:
        """Store how far what is shown in a workspace is behind."""
        async with self.context.transaction() as session:
            await slack_health.save(session, health)

    async def save_message(self, message: SlackMessage) -> None:
        """Store the row of a message, before or after a call to Slack."""
        with translate_errors():
            await slack_messages.save(self.context.database.reads, message)

    async def record_drawn(self, drawable: DrawableId, *, version: int, is_live: bool) -> None:
        """Record the version that is completely shown, and whether the drawable is live."""
        with translate_errors():
            await drawables.record_drawn(
                self.context.database.reads, drawable, version=version, is_live=is_live
            )

    async def request(self, wanted: DrawableRequest) -> None:
        """Request a drawing; idempotent."""
        async with self.context.transaction() as session:
            if await drawables.request(session, wanted):
                await _notify(session, wanted.drawable)

    async def activate(self, wanted: DrawableRequest, *, duration: timedelta) -> None:
        """Request a new drawing now, and keep the drawable up to date for `duration`."""
        until = self.context.clock() + duration
        async with self.context.transaction() as session:
            await drawables.activate(session, wanted, until=until)
            await _notify(session, wanted.drawable)

    async def raise_active(self, *, team_id: str, kinds: Collection[str]) -> None:
        """Mark the active drawables with a time limit as outdated: their rows may have changed."""
        with translate_errors():
            await drawables.raise_active(
                self.context.database.reads,
                team_id=team_id,
                kinds=kinds,
                now=self.context.clock(),
            )

    async def uncertain_writes(self, *, team_id: str) -> list[UncertainWrite]:
        """The uncertain writes of a team's drawables, as stored by the previous drawer."""
        async with self.context.transaction() as session:
            return await uncertain_writes.of_team(session, team_id)

    async def mark_all_uncertain(
        self, *, team_id: str, heads: Collection[str], due_at: datetime
    ) -> None:
        """Mark the messages as uncertain that the previous drawer may have been changing."""
        now = self.context.clock()
        async with self.context.transaction() as session:
            await uncertain_writes.add_for_open(
                session,
                team_id=team_id,
                heads=heads,
                changed_since=now - _RECENTLY_CHANGED,
                due_at=due_at,
                now=now,
            )

    async def record_uncertain_write(self, write: UncertainWrite) -> None:
        """Store an uncertain write; storing it again replaces its due time."""
        async with self.context.transaction() as session:
            await uncertain_writes.add(session, write)

    async def resolve_uncertain_write(
        self, drawable: DrawableId, slot: str, kind: UncertainWriteKind
    ) -> None:
        """Delete an uncertain write, if it exists."""
        async with self.context.transaction() as session:
            await uncertain_writes.resolve(session, drawable, slot, kind)

    async def lost_channels(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        """The channels in which messages were lost with one of these errors, in 30 days."""
        since = self.context.clock() - _LOST_RETENTION
        async with self.context.transaction() as session:
            return await drawables.lost_channels(
                session, team_id=team_id, reasons=reasons, since=since
            )

    async def retry_lost(self, channel_id: str, *, reasons: Collection[str]) -> int:
        """Request a redraw of the lost messages; returns the number of drawables."""
        async with self.context.transaction() as session:
            return await slack_messages.retry_lost(session, channel_id, reasons=reasons)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[ChangeKind | None]]:
        """Hints to poll: the kind of a change, or `None` if anything may have changed.

        A hint comes at least every 5 seconds.
        """
        kinds = [ChangeKind.RUN, ChangeKind.DRAWABLE]
        async with self.feed.subscribe(kinds=kinds) as subscription:

            async def hints() -> AsyncIterator[ChangeKind | None]:
                while True:
                    try:
                        async with asyncio.timeout(_POLL.total_seconds()):
                            item = await anext(subscription)
                    except TimeoutError:
                        yield None
                        continue
                    yield item.kind if isinstance(item, Change) else None

            yield hints()

    def leadership(self) -> AbstractAsyncContextManager[leadership.Leadership]:
        """Wait for the exclusive right to draw; its `lost` event is set when it ends."""
        return leadership.leadership(self.context.database.dsn, AdvisoryLock.DRAWER)


async def _notify(session: AsyncSession, drawable: DrawableId) -> None:
    await changes.record(session, ChangeKind.DRAWABLE, str(drawable), "requested")
