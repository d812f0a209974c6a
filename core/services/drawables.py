"""What should be shown in Slack, and what is: for the one process that draws."""

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
from core.store.slack import drawables, slack_messages, uncertain_writes

# How long something can be behind when no change tells of it.
_POLL = timedelta(seconds=5)
# A channel that was lost longer ago than this is not asked about any more.
_LOST_RETENTION = timedelta(days=30)
# A message that was last changed longer ago than this was not being changed when a bot died;
# the first message of what is open always may have been.
_RECENTLY_CHANGED = timedelta(minutes=2)


@dataclass(frozen=True)
class DrawableService:
    """What each drawable should show, and what it shows."""

    context: ServiceContext
    feed: FeedService

    async def outdated(
        self, *, team_id: str, kinds: Collection[str], limit: int = 50
    ) -> list[DrawableId]:
        """Drawables of these kinds of which not the newest version is shown."""
        async with self.context.transaction() as session:
            return await drawables.outdated(session, team_id=team_id, kinds=kinds, limit=limit)

    async def drawable(self, drawable: DrawableId) -> Drawable | None:
        """A drawable with what is shown of it.

        Its version was read no later than what a caller reads next: what is drawn from that is
        at least as new.
        """
        async with self.context.transaction() as session:
            return await drawables.get(session, drawable)

    async def save_message(self, message: SlackMessage) -> None:
        """Record what is (about to be) shown."""
        async with self.context.transaction() as session:
            await slack_messages.save(session, message)

    async def record_drawn(self, drawable: DrawableId, *, version: int, is_live: bool) -> None:
        """Note that all of a version is shown, and whether it shows what still goes on."""
        async with self.context.transaction() as session:
            await drawables.record_drawn(session, drawable, version=version, is_live=is_live)

    async def request(self, wanted: DrawableRequest) -> None:
        """Have something drawn; requested again it is the same."""
        async with self.context.transaction() as session:
            if await drawables.request(session, wanted):
                await _notify(session, wanted.drawable)

    async def activate(self, wanted: DrawableRequest, *, duration: timedelta) -> None:
        """Have something drawn anew now, and kept true for so long."""
        until = self.context.clock() + duration
        async with self.context.transaction() as session:
            await drawables.activate(session, wanted, until=until)
            await _notify(session, wanted.drawable)

    async def raise_active(self, *, team_id: str, kinds: Collection[str]) -> None:
        """Put behind what is kept true for a while: what it is drawn from may have changed."""
        async with self.context.transaction() as session:
            await drawables.raise_active(
                session, team_id=team_id, kinds=kinds, now=self.context.clock()
            )

    async def uncertain_writes(self, *, team_id: str) -> list[UncertainWrite]:
        """What Slack may have done late, as the drawer before noted it."""
        async with self.context.transaction() as session:
            return await uncertain_writes.of_team(session, team_id)

    async def mark_all_uncertain(
        self, *, team_id: str, heads: Collection[str], due_at: datetime
    ) -> None:
        """Keep as uncertain what the drawer before may have been changing at its end."""
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
        """Keep an uncertain write; kept again it is due later."""
        async with self.context.transaction() as session:
            await uncertain_writes.add(session, write)

    async def resolve_uncertain_write(
        self, drawable: DrawableId, slot: str, kind: UncertainWriteKind
    ) -> None:
        """Forget an uncertain write."""
        async with self.context.transaction() as session:
            await uncertain_writes.resolve(session, drawable, slot, kind)

    async def lost_channels(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        """Channels in which messages were lost for one of these reasons, lately."""
        since = self.context.clock() - _LOST_RETENTION
        async with self.context.transaction() as session:
            return await drawables.lost_channels(
                session, team_id=team_id, reasons=reasons, since=since
            )

    async def retry_lost(self, channel_id: str, *, reasons: Collection[str]) -> int:
        """Have what was lost there drawn again; answers how many drawables."""
        async with self.context.transaction() as session:
            return await slack_messages.retry_lost(session, channel_id, reasons=reasons)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[ChangeKind | None]]:
        """Hints to look: what kind of thing has changed, or `None` for anything.

        One comes at least every few seconds.
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
        """Wait to be the one that draws; its `lost` event says when that is over."""
        return leadership.leadership(self.context.database.dsn, AdvisoryLock.DRAWER)


async def _notify(session: AsyncSession, drawable: DrawableId) -> None:
    await changes.record(session, ChangeKind.DRAWABLE, str(drawable), "requested")
