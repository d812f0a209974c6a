"""The least times between two updates of one message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta

from bot.slack.client.rate_limits import Priority
from core.domain.drawables import DrawableId

# Slack's clients show no faster updates.
UPDATE_GAP = timedelta(seconds=1.2)
# The same while a run works and nobody waits: each update takes some 40 ms of processor time, and
# nobody reads counts that change more often.
ROUTINE_GAP = timedelta(seconds=2.5)


@dataclass
class UpdateGaps:
    """Waits until a message may be updated again.

    Attributes:
        now: A monotonic clock in seconds.
    """

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _pauses: dict[DrawableId, asyncio.Event] = field(default_factory=dict)

    @property
    def waiting(self) -> Collection[DrawableId]:
        """The drawables that wait for the end of their `ROUTINE_GAP`."""
        return self._pauses.keys()

    def end(self, drawable: DrawableId) -> None:
        """End the routine wait of a drawable for which somebody waits now."""
        pause = self._pauses.get(drawable)
        if pause is not None:
            pause.set()

    async def wait(self, drawable: DrawableId, last: float, priority: Priority) -> bool:
        """Wait after an update at `last`, by `now`; return whether that took time."""
        first = last + UPDATE_GAP.total_seconds() - self.now()
        if first > 0:
            await self.sleep(first)
        rest = last + ROUTINE_GAP.total_seconds() - self.now()
        if not _is_routine(priority) or rest <= 0:
            return first > 0
        self._pauses[drawable] = raised = asyncio.Event()
        waits = [
            asyncio.ensure_future(self.sleep(rest)),
            asyncio.create_task(raised.wait(), name="wait for a higher priority"),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._pauses[drawable]
            for wait in waits:
                wait.cancel()
        return True


def _is_routine(priority: Priority) -> bool:
    """Whether nobody waits for what is drawn with this priority."""
    return priority in {Priority.STEP, Priority.IDLE}
