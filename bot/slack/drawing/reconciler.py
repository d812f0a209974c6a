"""Reconciliation: every thread shows what the rows say, whatever happened in between.

One process draws (`ThreadService.leadership`).  On each hint, and every few seconds without
one, it asks which threads are behind and brings each of them up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from bot.slack.client.client import SlackError
from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.drawing import Blocked, Drawing
from bot.slack.drawing.lost_channels import Places
from bot.slack.ports import Lead, Threads
from core.domain.errors import Unavailable

log = logging.getLogger(__name__)

REFRESH_EVERY = timedelta(seconds=20)
# Hints come by the hundred; one look answers all that came before it.
LOOK_GAP = timedelta(seconds=0.15)
_LOOK_LIMIT = 500
_AFTER_LOSS = 1.0
_DOUBT_EVERY = 1.0
# Waits after failures of one thread, in seconds.
_FIRST_REST = 2.0
_LONGEST_REST = 60.0


@dataclass
class Redraw:
    """The loop that draws.

    Attributes:
        team_id: Threads of this workspace are drawn.
        now: A monotonic clock in seconds.
    """

    threads: Threads
    drawing: Drawing
    places: Places
    team_id: str
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    refresh_every: timedelta = REFRESH_EVERY
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _again: set[str] = field(default_factory=set)
    # In the order in which their cards are to be refreshed.
    _live: dict[str, None] = field(default_factory=dict)
    _rests: dict[str, tuple[float, float]] = field(default_factory=dict)
    _look: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Draw whenever this process is the one to do it, until cancelled."""
        while True:
            try:
                async with self.threads.leadership() as lead:
                    log.info("this process draws the threads")
                    self.drawing.budget.begin_spent("chat.update")
                    self.drawing.budget.begin_spent("chat.postMessage")
                    await self.drawing.doubts.take_over(team_id=self.team_id)
                    self.drawing.lead = lead
                    await self._draw_while(lead)
                    log.warning("this process draws no longer: it was cut off, or frozen too long")
            except (Unavailable, OSError) as error:
                log.warning("drawing stopped: %s", error)
            await self.sleep(_AFTER_LOSS)

    async def _draw_while(self, lead: Lead) -> None:
        async with self.threads.changes() as hints:
            parts = [
                asyncio.create_task(self._hear(hints), name="redraw hints"),
                asyncio.create_task(self._look_whenever(), name="redraw looks"),
                asyncio.create_task(self._refresh(), name="redraw refresh"),
                asyncio.create_task(self._doubt(), name="redraw doubts"),
                asyncio.create_task(self.places.keep_looking(), name="redraw lost places"),
                asyncio.create_task(_until(lead.lost), name="redraw leadership"),
            ]
            try:
                done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                for part in done:
                    part.result()
            finally:
                # All at once: who draws may not go on while another part is slow to end.
                await _cancel([*parts, *self._tasks.values()])
                self._tasks.clear()
                self._rests.clear()

    async def _hear(self, hints: AsyncIterator[str]) -> None:
        self._look.set()
        async for _ in hints:
            self._look.set()

    async def _look_whenever(self) -> None:
        while True:
            await self._look.wait()
            self._look.clear()
            try:
                behind = await self.threads.behind(team_id=self.team_id, limit=_LOOK_LIMIT)
                await self._raise_ended(behind)
            except Unavailable as error:
                log.warning("threads that are behind cannot be read: %s", error)
                await self.sleep(_AFTER_LOSS)
                self._look.set()
                continue
            for thread_key in behind:
                self._want(thread_key)
            await self.sleep(LOOK_GAP.total_seconds())

    async def _raise_ended(self, behind: Sequence[str]) -> None:
        """Of the threads that wait for their turn, let those that came to an end go first.

        One question for all of them: it is asked at every look.
        """
        waiting = [key for key in behind if key in self.drawing.tickets]
        if waiting:
            for thread_key in await self.threads.ended(waiting):
                self.drawing.raise_priority(thread_key, Priority.FINAL)

    async def _refresh(self) -> None:
        """Keep the elapsed time of live cards fresh, while nobody else needs the budget.

        One card at a time, in turn: many at once would leave nothing for what happens next.
        """
        while True:
            await self.sleep(self.refresh_every.total_seconds() / max(len(self._live), 1))
            thread_key = next(iter(self._live), None)
            if thread_key is not None and self.drawing.budget.has_spare("chat.update"):
                # To the end of the line.
                self._live[thread_key] = self._live.pop(thread_key)
                self._want(thread_key, is_idle=True)

    async def _doubt(self) -> None:
        """Look once more at what Slack may have carried out late."""
        while True:
            await self.sleep(_DOUBT_EVERY)
            for thread_key in self.drawing.doubts.due_threads():
                self._want(thread_key)

    def _want(self, thread_key: str, *, is_idle: bool = False) -> None:
        if thread_key in self._tasks:
            if not is_idle:
                self._again.add(thread_key)
                # It may wait as one whose clock only is to be refreshed.
                self.drawing.raise_priority(thread_key, Priority.STEP)
            return
        rest = self._rests.get(thread_key)
        if rest is not None and rest[0] > self.now():
            return
        task = asyncio.create_task(
            self._bring_up(thread_key, is_idle=is_idle), name=f"draw {thread_key}"
        )
        self._tasks[thread_key] = task
        task.add_done_callback(lambda task: self._ended(thread_key, task))

    def _ended(self, thread_key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(thread_key) is not task:
            # One of an earlier lead, which hung; the present one is another's.
            return
        del self._tasks[thread_key]
        if thread_key in self._again:
            self._again.discard(thread_key)
            self._look.set()

    async def _bring_up(self, thread_key: str, *, is_idle: bool) -> None:
        try:
            is_live = await self.drawing.bring_up(thread_key, is_idle=is_idle)
        except Blocked as error:
            log.warning("Slack refuses the bot: %s", error)
            self._rest(thread_key, at_least=_LONGEST_REST)
        except (SlackError, Unavailable) as error:
            log.warning("%s cannot be drawn now: %s", thread_key, error)
            self._rest(thread_key)
        except Exception:
            # One thread that cannot be drawn must not stop the others.
            log.exception("drawing of %s failed", thread_key)
            self._rest(thread_key)
        else:
            self._rests.pop(thread_key, None)
            if is_live:
                self._live.setdefault(thread_key)
            else:
                self._live.pop(thread_key, None)

    def _rest(self, thread_key: str, *, at_least: float = 0.0) -> None:
        """Leave a thread alone for a while, longer after each failure."""
        _, last = self._rests.get(thread_key, (0.0, _FIRST_REST / 2))
        length = max(min(last * 2, _LONGEST_REST), at_least)
        self._rests[thread_key] = (self.now() + length, length)


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=5)
