"""Work that has to be done to its end: through cancellation, and through outages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from core.domain.errors import Unavailable
from core.waiting import Backoff, retry

log = logging.getLogger(__name__)

T = TypeVar("T")

# The fault tests take Postgres away for 40 s; a run's end must outlive much more than that.
WRITE_PATIENCE = timedelta(minutes=10)
# What must be written whenever the database is back: a run's beginning, its end, its proof.
UNLIMITED_PATIENCE = timedelta(days=365)
_BACKOFF = Backoff(first=timedelta(seconds=0.2), longest=timedelta(seconds=2))


class BoundedCalls:
    """Calls that are waited for no longer than a limit; then they are left to their own end.

    On a connection that is cut without a word even cancelling a query takes its time.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def call(self, coroutine: Coroutine[Any, Any, T], *, limit: timedelta, name: str) -> T:
        """The answer, if it comes in time.

        Raises:
            TimeoutError: If it does not.  The call is cancelled, which is not waited for.
        """
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await asyncio.shield(task)
        finally:
            task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Retrieved, or asyncio would report that nobody did.


async def run_uninterrupted(coroutine: Coroutine[Any, Any, T], *, name: str) -> T:
    """Run to the end, however often the caller is cancelled meanwhile.

    A kill and a shutdown can both arrive, so one shield is not enough.  The cancellations
    are swallowed: the caller decides what they mean by the rows, not by the exception.
    """
    task = asyncio.create_task(coroutine, name=name)
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            log.debug(
                "%s continues although it was cancelled",
                name,
                extra={"event": "cancellation.deferred", "task": name},
            )
    return task.result()


async def retry_while_unavailable(
    write: Callable[[], Awaitable[T]], *, patience: timedelta = WRITE_PATIENCE
) -> T:
    """Write to the database, trying again while it is unavailable.

    Raises:
        Unavailable: If it is still unavailable after `patience`.
    """
    return await retry(write, on=Unavailable, backoff=_BACKOFF, patience=patience)
