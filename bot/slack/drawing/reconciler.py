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

from bot.slack.client.rate_limits import Priority
from bot.slack.client.web_api import SlackError
from bot.slack.drawing.drawing import BotBlocked, ThreadDrawer
from bot.slack.drawing.lost_channels import LostChannels
from bot.slack.ports import Leadership, Threads
from core.domain.errors import Unavailable

log = logging.getLogger(__name__)

REFRESH_EVERY = timedelta(seconds=20)
# Hints come by the hundred; one look answers all that came before it.
POLL_GAP = timedelta(seconds=0.15)
_POLL_LIMIT = 500
_RETRY_SECONDS = 1.0
_RECHECK_SECONDS = 1.0
# Waits after failures of one thread, in seconds.
_FIRST_BACKOFF = 2.0
_MAX_BACKOFF = 60.0


@dataclass
class RedrawLoop:
    """The loop that draws.

    Attributes:
        team_id: Threads of this workspace are drawn.
        now: A monotonic clock in seconds.
    """

    threads: Threads
    drawing: ThreadDrawer
    lost_channels: LostChannels
    team_id: str
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    refresh_every: timedelta = REFRESH_EVERY
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _redraw_after: set[str] = field(default_factory=set)
    # In the order in which their cards are to be refreshed.
    _live: dict[str, None] = field(default_factory=dict)
    _backoffs: dict[str, tuple[float, float]] = field(default_factory=dict)
    _poll_requested: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Draw whenever this process is the one to do it, until cancelled."""
        while True:
            try:
                async with self.threads.leadership() as lead:
                    log.info("this process draws the threads")
                    self.drawing.rate_limiter.start_empty("chat.update")
                    self.drawing.rate_limiter.start_empty("chat.postMessage")
                    await self.drawing.uncertain_writes.take_over(team_id=self.team_id)
                    self.drawing.leadership = lead
                    await self._draw_while_leader(lead)
                    log.warning("this process draws no longer: it was cut off, or frozen too long")
            except (Unavailable, OSError) as error:
                log.warning("drawing stopped: %s", error)
            await self.sleep(_RETRY_SECONDS)

    async def _draw_while_leader(self, lead: Leadership) -> None:
        async with self.threads.changes() as hints:
            parts = [
                asyncio.create_task(self._receive_hints(hints), name="redraw hints"),
                asyncio.create_task(self._poll_loop(), name="redraw looks"),
                asyncio.create_task(self._refresh(), name="redraw refresh"),
                asyncio.create_task(self._recheck_loop(), name="redraw doubts"),
                asyncio.create_task(self.lost_channels.keep_checking(), name="redraw lost places"),
                asyncio.create_task(_wait_for(lead.lost), name="redraw leadership"),
            ]
            try:
                done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                for part in done:
                    part.result()
            finally:
                # All at once: who draws may not go on while another part is slow to end.
                await _cancel([*parts, *self._tasks.values()])
                self._tasks.clear()
                self._backoffs.clear()

    async def _receive_hints(self, hints: AsyncIterator[str]) -> None:
        self._poll_requested.set()
        async for _ in hints:
            self._poll_requested.set()

    async def _poll_loop(self) -> None:
        while True:
            await self._poll_requested.wait()
            self._poll_requested.clear()
            try:
                outdated = await self.threads.outdated_threads(
                    team_id=self.team_id, limit=_POLL_LIMIT
                )
                await self._prioritize_ended(outdated)
            except Unavailable as error:
                log.warning("threads that are behind cannot be read: %s", error)
                await self.sleep(_RETRY_SECONDS)
                self._poll_requested.set()
                continue
            for thread_key in outdated:
                self._request_draw(thread_key)
            await self.sleep(POLL_GAP.total_seconds())

    async def _prioritize_ended(self, outdated: Sequence[str]) -> None:
        """Of the threads that wait for their turn, let those that came to an end go first.

        One question for all of them: it is asked at every look.
        """
        waiting = [key for key in outdated if key in self.drawing.tickets]
        if waiting:
            for thread_key in await self.threads.without_live_run(waiting):
                self.drawing.raise_priority(thread_key, Priority.FINAL)

    async def _refresh(self) -> None:
        """Keep the elapsed time of live cards fresh, while nobody else needs the budget.

        One card at a time, in turn: many at once would leave nothing for what happens next.
        """
        while True:
            await self.sleep(self.refresh_every.total_seconds() / max(len(self._live), 1))
            thread_key = next(iter(self._live), None)
            if thread_key is not None and self.drawing.rate_limiter.has_spare_capacity(
                "chat.update"
            ):
                # To the end of the line.
                self._live[thread_key] = self._live.pop(thread_key)
                self._request_draw(thread_key, is_idle=True)

    async def _recheck_loop(self) -> None:
        """Look once more at what Slack may have carried out late."""
        while True:
            await self.sleep(_RECHECK_SECONDS)
            for thread_key in self.drawing.uncertain_writes.due_threads():
                self._request_draw(thread_key)

    def _request_draw(self, thread_key: str, *, is_idle: bool = False) -> None:
        if thread_key in self._tasks:
            if not is_idle:
                self._redraw_after.add(thread_key)
                # It may wait as one whose clock only is to be refreshed.
                self.drawing.raise_priority(thread_key, Priority.STEP)
            return
        backoff = self._backoffs.get(thread_key)
        if backoff is not None and backoff[0] > self.now():
            return
        task = asyncio.create_task(
            self._reconcile(thread_key, is_idle=is_idle), name=f"draw {thread_key}"
        )
        self._tasks[thread_key] = task
        task.add_done_callback(lambda task: self._on_task_done(thread_key, task))

    def _on_task_done(self, thread_key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(thread_key) is not task:
            # One of an earlier lead, which hung; the present one is another's.
            return
        del self._tasks[thread_key]
        if thread_key in self._redraw_after:
            self._redraw_after.discard(thread_key)
            self._poll_requested.set()

    async def _reconcile(self, thread_key: str, *, is_idle: bool) -> None:
        try:
            is_live = await self.drawing.reconcile(thread_key, is_idle=is_idle)
        except BotBlocked as error:
            log.warning("Slack refuses the bot: %s", error)
            self._back_off(thread_key, at_least=_MAX_BACKOFF)
        except (SlackError, Unavailable) as error:
            log.warning("%s cannot be drawn now: %s", thread_key, error)
            self._back_off(thread_key)
        except Exception:
            # One thread that cannot be drawn must not stop the others.
            log.exception("drawing of %s failed", thread_key)
            self._back_off(thread_key)
        else:
            self._backoffs.pop(thread_key, None)
            if is_live:
                self._live.setdefault(thread_key)
            else:
                self._live.pop(thread_key, None)

    def _back_off(self, thread_key: str, *, at_least: float = 0.0) -> None:
        """Leave a thread alone for a while, longer after each failure."""
        _, last = self._backoffs.get(thread_key, (0.0, _FIRST_BACKOFF / 2))
        length = max(min(last * 2, _MAX_BACKOFF), at_least)
        self._backoffs[thread_key] = (self.now() + length, length)


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=5)
