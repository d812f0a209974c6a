"""The sandbox's time: real time plus the time that a test skipped."""

import asyncio
import time

from bot.sandbox.event_wait import wait_for_event


class Clock:
    """Seconds since the epoch; it never runs backwards, and a test can advance it."""

    def __init__(self) -> None:
        self._base = time.time() - time.monotonic()
        self._moved = asyncio.Event()

    def now(self) -> float:
        """The sandbox's time."""
        return self._base + time.monotonic()

    def advance(self, seconds: float) -> None:
        """Skip time: triggers expire, retries become due, rate limits recover."""
        self._base += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep(self, seconds: float) -> None:
        """Wait until the sandbox's time is `seconds` later."""
        end = self.now() + seconds
        while (remaining := end - self.now()) > 0:
            await wait_for_event(self._moved, remaining)
