"""Slack threads as the rows want them, beside what is shown in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.feed import Change, ChangeKind
from core.domain.runs.snapshot import SlackMessage, Thread, UncertainWrite, UncertainWriteKind
from core.services import snapshots
from core.services.context import ServiceContext
from core.services.feed import FeedService
from core.store.database import leadership
from core.store.database.advisory_locks import AdvisoryLock
from core.store.runs import run_queries
from core.store.slack import slack_messages, uncertain_writes

# How long a thread can be behind when no change tells of it.
_POLL = timedelta(seconds=5)
# A channel that was lost longer ago than this is not asked about any more.
_LOST_RETENTION = timedelta(days=30)
# A message that was last changed longer ago than this was not being changed when a bot died;
# its card always may have been.
_RECENTLY_CHANGED = timedelta(minutes=2)


@dataclass(frozen=True)
class ThreadService:
    """What each thread should show, and what it shows."""

    context: ServiceContext
    feed: FeedService

    async def outdated_threads(self, *, team_id: str, limit: int = 50) -> list[str]:
        """Keys of threads whose rows are ahead of what is shown."""
        async with self.context.transaction() as session:
            return await slack_messages.outdated_threads(session, limit=limit, team_id=team_id)

    async def without_live_run(self, thread_keys: Collection[str]) -> frozenset[str]:
        """Those of the threads that have no live run."""
        async with self.context.transaction() as session:
            return await slack_messages.ended_threads(session, thread_keys)

    async def thread(self, thread_key: str) -> Thread | None:
        """A thread with its legs and what is shown; `None` if it has no place in Slack."""
        async with self.context.transaction() as session:
            legs = await run_queries.of_thread(session, thread_key)
            if not legs or legs[0].slack_channel_id is None or legs[0].slack_team_id is None:
                return None
            return Thread(
                thread_key=thread_key,
                team_id=legs[0].slack_team_id,
                channel_id=legs[0].slack_channel_id,
                legs=tuple(await snapshots.of_session_runs(session, legs)),
                messages=await slack_messages.of_thread(session, thread_key),
            )

    async def save_message(self, message: SlackMessage) -> None:
        """Record what is (about to be) shown."""
        async with self.context.transaction() as session:
            await slack_messages.save(session, message)

    async def uncertain_writes(self, *, team_id: str) -> list[UncertainWrite]:
        """What Slack may have done late in a team's threads, as whoever drew last noted it."""
        async with self.context.transaction() as session:
            return await uncertain_writes.of_team(session, team_id)

    async def mark_all_uncertain(self, *, team_id: str, due_at: datetime) -> None:
        """Doubt every message that whoever drew before may have been changing at its end."""
        since = self.context.clock() - _RECENTLY_CHANGED
        async with self.context.transaction() as session:
            await uncertain_writes.add_for_open_threads(
                session, team_id=team_id, changed_since=since, due_at=due_at
            )

    async def record_uncertain_write(self, write: UncertainWrite) -> None:
        """Keep a doubt; noted again it is due later."""
        async with self.context.transaction() as session:
            await uncertain_writes.add(session, write)

    async def resolve_uncertain_write(
        self, thread_key: str, slot: str, kind: UncertainWriteKind
    ) -> None:
        """Forget a doubt."""
        async with self.context.transaction() as session:
            await uncertain_writes.resolve(session, thread_key, slot, kind)

    async def lost_channels(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        """Channels in which messages were lost for one of these reasons, lately."""
        since = self.context.clock() - _LOST_RETENTION
        async with self.context.transaction() as session:
            return await slack_messages.lost_channels(
                session, team_id=team_id, reasons=reasons, since=since
            )

    async def retry_lost(self, channel_id: str, *, reasons: Collection[str]) -> int:
        """Have the threads that were lost there drawn again; answers how many."""
        async with self.context.transaction() as session:
            return await slack_messages.retry_lost(session, channel_id, reasons=reasons)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[str]]:
        """Run ids as they change; an empty string asks to look at everything."""
        async with self.feed.subscribe(kinds=[ChangeKind.RUN]) as subscription:

            async def hints() -> AsyncIterator[str]:
                while True:
                    try:
                        async with asyncio.timeout(_POLL.total_seconds()):
                            item = await anext(subscription)
                    except TimeoutError:
                        yield ""
                        continue
                    yield item.subject if isinstance(item, Change) else ""

            yield hints()

    def leadership(self) -> AbstractAsyncContextManager[leadership.Leadership]:
        """Wait to be the one that draws; its `lost` event says when that is over."""
        return leadership.leadership(self.context.database.dsn, AdvisoryLock.DRAWER)
