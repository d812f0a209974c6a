"""Reconciliation: brings every drawable in Slack to the state of the database.

Only one process draws (`DrawableService.leadership`).  On each hint, and every few seconds
without one, it polls for outdated drawables and brings each of them up to date.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from bot.slack.client.errors import SlackError
from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.drawing import Drawer, HeldBack
from bot.slack.drawing.health import HealthReports
from bot.slack.drawing.lag import DrawingLag
from bot.slack.drawing.lost_channels import LostChannels
from bot.slack.drawing.messages.refused import BotBlocked
from bot.slack.drawing.urgent import look_at_urgent
from bot.slack.ports import Drawables, Leadership
from core.domain.drawables import DrawableId
from core.domain.errors import Unavailable
from core.domain.feed import ChangeKind

log = logging.getLogger(__name__)

REFRESH_EVERY = timedelta(seconds=20)
# Hints can come in hundreds; one poll serves all hints before it.
POLL_GAP = timedelta(seconds=0.15)
_POLL_LIMIT = 500
_RETRY_SECONDS = 1.0
_RECHECK_SECONDS = 1.0
# The minimum time between two updates of drawables that depend on other rows (a Home tab
# depends on all runs).
_DEPENDENTS_GAP_SECONDS = 3.0
# The pause of a drawable of which some messages cannot be drawn for long, in seconds.
_HELD_PAUSE = 5.0
# The share of its interval by which a refresh may come early.
_EARLY_REFRESH = 0.1
# Pauses after failures of one drawable, in seconds.
_FIRST_BACKOFF = 2.0
_MAX_BACKOFF = 60.0


@dataclass
class RedrawLoop:
    """The loop that draws.

    Attributes:
        lag: How long what is shown has been outdated.
        health: Stores that, for the alert about it.
        team_id: The Slack workspace whose drawables are drawn.
        now: A monotonic clock in seconds.
        refresh_every: How often the elapsed times of each live drawable are refreshed.
    """

    drawables: Drawables
    drawing: Drawer
    lost_channels: LostChannels
    lag: DrawingLag
    health: HealthReports
    team_id: str
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    refresh_every: timedelta = REFRESH_EVERY
    _tasks: dict[DrawableId, asyncio.Task[None]] = field(default_factory=dict)
    _redraw_after: set[DrawableId] = field(default_factory=set)
    # When their elapsed times are refreshed next, by `now`.
    _live: dict[DrawableId, float] = field(default_factory=dict)
    _backoffs: dict[DrawableId, tuple[float, float]] = field(default_factory=dict)
    _poll_requested: asyncio.Event = field(default_factory=asyncio.Event)
    _pending_changes: set[ChangeKind] = field(default_factory=set)
    _dependents_requested: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Draw while this process is the leader; otherwise wait.  Runs until cancelled."""
        while True:
            try:
                async with self.drawables.leadership() as lead:
                    log.info("this process draws the threads", extra={"event": "drawing.started"})
                    self.drawing.rate_limiter.start_empty("chat.update")
                    self.drawing.rate_limiter.start_empty("chat.postMessage")
                    heads = {name: kind.head for name, kind in self.drawing.kinds.items()}
                    await self.drawing.uncertain_writes.take_over(team_id=self.team_id, heads=heads)
                    self.drawing.sender.leadership = lead
                    await self._draw_while_leader(lead)
                    log.warning(
                        "this process draws no longer: its connection was lost, or it was frozen",
                        extra={"event": "drawing_leadership.lost"},
                    )
            except (Unavailable, OSError) as error:
                log.warning("drawing stopped: %s", error, extra={"event": "drawing.stopped"})
            await self.sleep(_RETRY_SECONDS)

    async def _draw_while_leader(self, lead: Leadership) -> None:
        async with self.drawables.changes() as hints:
            parts = [
                asyncio.create_task(self._receive_hints(hints), name="redraw hints"),
                asyncio.create_task(self._poll_loop(), name="redraw polls"),
                asyncio.create_task(self._raise_dependents(), name="redraw dependents"),
                asyncio.create_task(self._refresh(), name="redraw refresh"),
                asyncio.create_task(self._recheck_loop(), name="redraw rechecks"),
                asyncio.create_task(self.lost_channels.keep_checking(), name="redraw channels"),
                asyncio.create_task(self.health.keep_reporting(), name="redraw health"),
                asyncio.create_task(_wait_for(lead.lost), name="redraw leadership"),
            ]
            try:
                done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                for part in done:
                    part.result()
            finally:
                # All at once: drawing must not continue while another part is slow to end.
                await _cancel([*parts, *self._tasks.values()])
                self._tasks.clear()
                self._backoffs.clear()
                self.lag.forget()

    async def _receive_hints(self, hints: AsyncIterator[ChangeKind | None]) -> None:
        self._poll_requested.set()
        # What changed while no process drew is unknown.
        self._request_dependents(ChangeKind)
        async for kind in hints:
            self._poll_requested.set()
            if kind is not None:
                self._request_dependents([kind])

    def _request_dependents(self, changed: Iterable[ChangeKind]) -> None:
        self._pending_changes.update(changed)
        self._dependents_requested.set()

    async def _raise_dependents(self) -> None:
        """Mark the drawables that depend on changed rows as outdated; coalesces changes."""
        while True:
            await self._dependents_requested.wait()
            self._dependents_requested.clear()
            changed, self._pending_changes = self._pending_changes, set()
            kinds = [name for name, kind in self.drawing.kinds.items() if kind.depends_on & changed]
            if not kinds:
                continue
            try:
                await self.drawables.raise_active(team_id=self.team_id, kinds=kinds)
            except Unavailable as error:
                log.warning(
                    "dependent drawables cannot be marked as outdated: %s",
                    error,
                    extra={"event": "dependents.mark_failed"},
                )
                self._request_dependents(changed)
            self._poll_requested.set()
            await self.sleep(_DEPENDENTS_GAP_SECONDS)

    async def _poll_loop(self) -> None:
        while True:
            await self._poll_requested.wait()
            self._poll_requested.clear()
            try:
                outdated = await self.drawables.outdated(
                    team_id=self.team_id, kinds=self.drawing.kinds, limit=_POLL_LIMIT
                )
                await look_at_urgent(self.drawing, outdated)
            except Unavailable as error:
                log.warning(
                    "outdated drawables cannot be read: %s",
                    error,
                    extra={"event": "outdated_drawables.read_failed"},
                )
                await self.sleep(_RETRY_SECONDS)
                self._poll_requested.set()
                continue
            self.lag.found_outdated(outdated)
            for drawable in outdated:
                self._request_draw(drawable)
            await self.sleep(POLL_GAP.total_seconds())

    async def _refresh(self) -> None:
        """Refresh elapsed times while there are spare permits.

        One at a time, the longest due first: many would use up the next change's permits.
        """
        while True:
            rate = sum(1 / self._refresh_seconds(drawable) for drawable in self._live)
            longest = self.refresh_every.total_seconds()
            await self.sleep(min(1 / rate, longest) if rate else longest)
            if not self._live:
                continue
            drawable = min(self._live, key=lambda one: self._live[one])
            every = self._refresh_seconds(drawable)
            # Sleeps end a little early or late; a whole further turn would be too much.
            is_due = self._live[drawable] - self.now() <= every * _EARLY_REFRESH
            method = self.drawing.kinds[drawable.kind].refresh_method
            if is_due and self.drawing.rate_limiter.has_spare_capacity(method):
                self._live[drawable] = self.now() + every
                self._request_draw(drawable, is_idle=True)

    def _refresh_seconds(self, drawable: DrawableId) -> float:
        """How often a live drawable is refreshed."""
        gap = self.drawing.kinds[drawable.kind].refresh_gap
        return max(self.refresh_every, gap).total_seconds()

    async def _recheck_loop(self) -> None:
        """Request a drawing of each drawable with uncertain writes that are due."""
        while True:
            await self.sleep(_RECHECK_SECONDS)
            for drawable in self.drawing.uncertain_writes.due_drawables():
                self._request_draw(drawable)

    def _request_draw(self, drawable: DrawableId, *, is_idle: bool = False) -> None:
        if drawable in self._tasks:
            if not is_idle:
                self._redraw_after.add(drawable)
                # It may be waiting with the priority of an idle refresh.
                self.drawing.raise_priority(drawable, Priority.STEP)
            return
        backoff = self._backoffs.get(drawable)
        if backoff is not None and backoff[0] > self.now():
            return
        task = asyncio.create_task(
            self._reconcile(drawable, is_idle=is_idle), name=f"draw {drawable}"
        )
        self._tasks[drawable] = task
        task.add_done_callback(lambda task: self._on_task_done(drawable, task))

    def _on_task_done(self, drawable: DrawableId, task: asyncio.Task[None]) -> None:
        if self._tasks.get(drawable) is not task:
            # The task hung and is from an earlier leadership; a newer task may be registered.
            return
        del self._tasks[drawable]
        if drawable in self._redraw_after:
            self._redraw_after.discard(drawable)
            self._poll_requested.set()

    async def _reconcile(self, drawable: DrawableId, *, is_idle: bool) -> None:
        try:
            is_live = await self.drawing.reconcile(drawable, is_idle=is_idle)
        except BotBlocked as error:
            log.warning(
                "slack refuses the bot: %s",
                error,
                extra={"event": "bot.blocked", **drawable.log_fields},
            )
            self._back_off(drawable, at_least=_MAX_BACKOFF)
        except HeldBack as held:
            self._backoffs[drawable] = (self.now() + _HELD_PAUSE, _FIRST_BACKOFF / 2)
            self._set_live(drawable, is_live=held.is_live)
        except (SlackError, Unavailable) as error:
            log.warning(
                "%s cannot be drawn now: %s",
                drawable,
                error,
                extra={"event": "drawing.delayed", **drawable.log_fields},
            )
            self._back_off(drawable)
        except Exception:
            # A drawable that cannot be drawn must not stop the others.
            log.exception(
                "drawing of %s failed",
                drawable,
                extra={"event": "drawing.failed", **drawable.log_fields},
            )
            self._back_off(drawable)
        else:
            self._backoffs.pop(drawable, None)
            self._set_live(drawable, is_live=is_live)
            self.lag.record_drawn(drawable)

    def _set_live(self, drawable: DrawableId, *, is_live: bool) -> None:
        if is_live:
            self._live.setdefault(drawable, self.now())
        else:
            self._live.pop(drawable, None)

    def _back_off(self, drawable: DrawableId, *, at_least: float = 0.0) -> None:
        """Pause a drawable: exponential backoff, for at least `at_least` seconds."""
        _, last = self._backoffs.get(drawable, (0.0, _FIRST_BACKOFF / 2))
        length = max(min(last * 2, _MAX_BACKOFF), at_least)
        self._backoffs[drawable] = (self.now() + length, length)


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=5)
