"""Tasks that continue after Slack got its acknowledgement; drained at shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from datetime import timedelta

log = logging.getLogger(__name__)


class BackgroundTasks:
    """A set of named tasks whose failures are logged.

    Slack expects an acknowledgement within seconds, and Bolt loses it if the listener fails
    right afterwards.  So the work runs here, outside of Bolt.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def running(self) -> frozenset[asyncio.Task[None]]:
        """The tasks that have not ended."""
        return frozenset(self._tasks)

    def start(self, work: Coroutine[None, None, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` in a task; an exception that leaves it is logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "%s failed",
                task.get_name(),
                exc_info=error,
                extra={"event": "background_task.failed", "task": task.get_name()},
            )

    async def drain(self, limit: timedelta) -> int:
        """Wait for the running tasks, then cancel the rest; return how many were cancelled.

        A cancelled delivery is not marked as done, so another bot handles it again.
        """
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=limit.total_seconds())
        rest = set(self._tasks)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=2)
            log.warning(
                "%d background tasks were cancelled at shutdown",
                len(rest),
                extra={"event": "background_tasks.cancelled", "count": len(rest)},
            )
        return len(rest)
