"""Subscriptions to the feed of changes, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from core.domain.feed import Change, Reset, ResetReason
from core.domain.runs.run import Run
from core.services.context import ServiceContext
from core.services.feed import FeedService, Subscription
from core.store.database.engine import Database
from core.store.runs import runs
from tests.database import NOW
from tests.limits import limit

LATER = timedelta(minutes=10)


def feed_of(database: Database, *, poll: timedelta = LATER, max_queued: int = 1000) -> FeedService:
    return FeedService(ServiceContext(database, lambda: NOW), poll=poll, max_queued=max_queued)


async def change(database: Database, run: Run, *, turns: int = 1) -> None:
    async with database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=NOW, turns=turns)


async def take(subscription: Subscription) -> Change | Reset:
    async with limit(20):
        return await anext(subscription)


async def take_changes(subscription: Subscription, count: int) -> list[Change]:
    found = [await take(subscription) for _ in range(count)]
    assert all(isinstance(item, Change) for item in found), found
    return [item for item in found if isinstance(item, Change)]


@asynccontextmanager
async def started(feed: FeedService, **options: object) -> AsyncIterator[Subscription]:
    """A subscription from the present on, its first `Reset` taken."""
    async with feed.subscribe(**options) as subscription:  # type: ignore[arg-type]
        first = await take(subscription)
        assert isinstance(first, Reset)
        assert first.reason is ResetReason.STARTED
        yield subscription


async def wait_until(holds: Callable[[], Awaitable[object]]) -> None:
    async with limit(20):
        # Only Postgres knows.
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def wait_for_reads(database: Database) -> None:
    """Wait until a feed of this pool has twice read changes that it cannot deliver yet."""
    # Only a feed reads in this way here.  The start of the third read shows that the second has
    # ended.
    wanted = database.reads.begun_count + 3
    async with limit(20):
        while database.reads.begun_count < wanted:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)
