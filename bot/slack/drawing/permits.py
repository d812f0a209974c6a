"""The waits of drawables for a permit to call Slack."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from bot.slack.client.rate_limits import Priority, Ticket
from core.domain.drawables import DrawableId

# How often a drawable that waits for a permit to update a message is looked at: each look reads
# the database.
_LOOK_GAP_SECONDS = 1.0


@dataclass
class _Wait:
    ticket: Ticket
    looked_at: float
    woken: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Permits:
    """Waits for permits; a drawable waits for one at a time.

    Slack allows far fewer updates than posts.  So what waits for an update is looked at again when
    something urgent has happened to it: a reply that tells it need not wait for the update.

    Attributes:
        now: A monotonic clock in seconds.
    """

    now: Callable[[], float]
    _waits: dict[DrawableId, _Wait] = field(default_factory=dict)

    @property
    def waiting(self) -> Collection[DrawableId]:
        """The drawables that wait."""
        return self._waits.keys()

    def raise_priority(self, drawable: DrawableId, priority: Priority) -> None:
        """Move a drawable forward."""
        wait = self._waits.get(drawable)
        if wait is not None:
            wait.ticket.raise_to(priority)

    def look_again(self, drawable: DrawableId) -> None:
        """Have a drawable looked at again, unless that was done just now."""
        wait = self._waits.get(drawable)
        if wait is not None and self.now() - wait.looked_at >= _LOOK_GAP_SECONDS:
            wait.looked_at = self.now()
            wait.woken.set()

    async def wait(
        self, drawable: DrawableId, ticket: Ticket, look: Callable[[], Awaitable[Priority | None]]
    ) -> bool:
        """Wait for a permit.

        Args:
            drawable: The drawable.
            ticket: Its place in the queue.
            look: The priority that the wait has now; `None` if there is something else to do first.

        Returns:
            Whether the permit was granted; otherwise the place in the queue is given up.

        Raises:
            LongWait: Slack blocks the method for long.
        """
        self._waits[drawable] = wait = _Wait(ticket=ticket, looked_at=self.now())
        granted = asyncio.create_task(ticket.wait_granted(), name="wait for a permit")
        try:
            while not await _is_first(granted, wait.woken):
                wait.woken.clear()
                priority = await look()
                if priority is not None:
                    ticket.raise_to(priority)
                elif not granted.done():
                    return False
            granted.result()
            return True
        finally:
            del self._waits[drawable]
            await _end(granted)


async def _is_first(granted: asyncio.Task[None], woken: asyncio.Event) -> bool:
    """Wait for either; return whether the permit came."""
    waking = asyncio.create_task(woken.wait(), name="wait for a higher priority")
    try:
        await asyncio.wait({granted, waking}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waking.cancel()
    return granted.done()


async def _end(task: asyncio.Task[None]) -> None:
    """Leave the queue, if the permit was not granted."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
