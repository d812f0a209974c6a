"""Operations that must complete in spite of cancellations and outages of the database."""

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

# Much longer than the 40 s for which the fault tests stop Postgres.
WRITE_PATIENCE = timedelta(minutes=10)
# For writes that must not be lost (a run's beginning, its end, its proof): retry until they work.
UNLIMITED_PATIENCE = timedelta(days=365)
_BACKOFF = Backoff(first=timedelta(seconds=0.2), longest=timedelta(seconds=2))


class BoundedCalls:
    """Calls with a time limit that holds even if their cancellation takes long.

    Cancelling a query on a silently broken connection can take long, so nobody waits for that.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def call(self, coroutine: Coroutine[Any, Any, T], *, limit: timedelta, name: str) -> T:
        """Return the result of the coroutine.

        Raises:
            TimeoutError: If it takes longer than `limit`; it is then cancelled in the background.
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
            task.exception()  # Retrieve it; otherwise asyncio logs that nobody did.


async def run_uninterrupted(coroutine: Coroutine[Any, Any, T], *, name: str) -> T:
    """Run a coroutine to its end, even if the caller is cancelled meanwhile, several times.

    A kill and a shutdown can both arrive, so one shield is not enough.  The cancellations are
    swallowed; the caller reads from the database what they mean.
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
    """Call `write`, and retry while the database is unavailable.

    Raises:
        Unavailable: If it is still unavailable after `patience`.
    """
    return await retry(write, on=Unavailable, backoff=_BACKOFF, patience=patience)
