"""Slack threads as the rows want them, beside what is shown in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.runs.snapshot import Doubt, Doubted, Shown, Thread
from core.services import snapshots
from core.services.work import Work
from core.store.database import leadership, listen
from core.store.runs import runs
from core.store.slack import shown, uncertain_writes

# The key of the advisory lock of the one process that draws; any constant will do.
_DRAWER = 0x5167_0001
# NOTIFY is a hint; this is how long a thread can be behind when a hint was lost.
_POLL = timedelta(seconds=5)
# A channel that was lost longer ago than this is not asked about any more.
_LOST_KEPT = timedelta(days=30)
# A message that was last changed longer ago than this was not being changed when a bot died;
# its card always may have been.
_JUST_CHANGED = timedelta(minutes=2)


@dataclass(frozen=True)
class ThreadService:
    """What each thread should show, and what it shows."""

    work: Work

    async def behind(self, *, team_id: str, limit: int = 50) -> list[str]:
        """Keys of threads whose rows are ahead of what is shown."""
        async with self.work.transaction() as session:
            return await shown.behind(session, limit=limit, team_id=team_id)

    async def ended(self, thread_keys: Collection[str]) -> frozenset[str]:
        """Those of the threads that have no live run."""
        async with self.work.transaction() as session:
            return await shown.ended(session, thread_keys)

    async def thread(self, thread_key: str) -> Thread | None:
        """A thread with its legs and what is shown; `None` if it has no place in Slack."""
        async with self.work.transaction() as session:
            legs = await runs.of_thread(session, thread_key)
            if not legs or legs[0].slack_channel_id is None or legs[0].slack_team_id is None:
                return None
            return Thread(
                thread_key=thread_key,
                team_id=legs[0].slack_team_id,
                channel_id=legs[0].slack_channel_id,
                legs=tuple(await snapshots.of_legs(session, legs)),
                shown=await shown.of_thread(session, thread_key),
            )

    async def put(self, message: Shown) -> None:
        """Record what is (about to be) shown."""
        async with self.work.transaction() as session:
            await shown.put(session, message)

    async def doubts(self, *, team_id: str) -> list[Doubted]:
        """What Slack may have done late in a team's threads, as whoever drew last noted it."""
        async with self.work.transaction() as session:
            return await uncertain_writes.of_team(session, team_id)

    async def doubt_all(self, *, team_id: str, due_at: datetime) -> None:
        """Doubt every message that whoever drew before may have been changing at its end."""
        since = self.work.clock() - _JUST_CHANGED
        async with self.work.transaction() as session:
            await uncertain_writes.note_all(
                session, team_id=team_id, changed_since=since, due_at=due_at
            )

    async def note_doubt(self, doubted: Doubted) -> None:
        """Keep a doubt; noted again it is due later."""
        async with self.work.transaction() as session:
            await uncertain_writes.note(session, doubted)

    async def settle_doubt(self, thread_key: str, slot: str, doubt: Doubt) -> None:
        """Forget a doubt."""
        async with self.work.transaction() as session:
            await uncertain_writes.settle(session, thread_key, slot, doubt)

    async def lost_places(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        """Channels in which messages were lost for one of these reasons, lately."""
        since = self.work.clock() - _LOST_KEPT
        async with self.work.transaction() as session:
            return await shown.lost_places(session, team_id=team_id, reasons=reasons, since=since)

    async def reopen(self, channel_id: str, *, reasons: Collection[str]) -> int:
        """Have the threads that were lost there drawn again; answers how many."""
        async with self.work.transaction() as session:
            return await shown.reopen(session, channel_id, reasons=reasons)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[str]]:
        """Run ids as they change; an empty string asks to look at everything."""
        async with listen.listen(self.work.database.dsn, "signalbox_runs", poll=_POLL) as heard:

            async def hints() -> AsyncIterator[str]:
                async for _, payload in heard:
                    yield payload

            yield hints()

    def leadership(self) -> AbstractAsyncContextManager[leadership.Leadership]:
        """Wait to be the one that draws; its `lost` event says when that is over."""
        return leadership.leadership(self.work.database.dsn, _DRAWER)
