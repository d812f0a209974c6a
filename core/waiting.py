"""Waits for events with a time limit, and retries of calls.

Cancellations are never caught here: they end the wait and are passed on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Pauses between tries: each is twice as long as the previous one, up to `longest`."""

    first: timedelta
    longest: timedelta

    def pauses(self) -> Iterator[float]:
        """Yield the pauses in seconds, without end."""
        seconds = self.first.total_seconds()
        while True:
            yield seconds
            seconds = min(2 * seconds, self.longest.total_seconds())


async def wait_for_any(*events: asyncio.Event, seconds: float) -> bool:
    """Wait until one of the events is set, for `seconds` at most; return whether one is set."""
    if not any(event.is_set() for event in events):
        waits = [asyncio.create_task(event.wait(), name="wait for event") for event in events]
        try:
            await asyncio.wait(waits, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
    return any(event.is_set() for event in events)


async def retry(
    action: Callable[[], Awaitable[T]],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    backoff: Backoff,
    patience: timedelta | None = None,
    stop: asyncio.Event | None = None,
    on_failure: Callable[[Exception, float], object] | None = None,
) -> T:
    """Call `action` until it succeeds, and return its result.

    Args:
        action: The operation; each try calls it once.
        on: The exceptions after which to retry.  Any other is passed on at once.
        backoff: The pauses between tries.
        patience: After this time a failure is final; the last try is made at its end.  `None`
            retries for ever.
        stop: Once it is set a failure is final; it also ends a pause early, for one last try.
        on_failure: Called before each pause, with the failure and the pause in seconds.

    Raises:
        Exception: The last failure, when it is final.
    """
    now = asyncio.get_running_loop().time
    deadline = math.inf if patience is None else now() + patience.total_seconds()
    pauses = backoff.pauses()
    while True:
        try:
            return await action()
        except on as error:
            remaining = deadline - now()
            if remaining <= 0 or (stop is not None and stop.is_set()):
                raise
            pause = min(next(pauses), remaining)
            if on_failure is not None:
                on_failure(error, pause)
        await (asyncio.sleep(pause) if stop is None else wait_for_any(stop, seconds=pause))
