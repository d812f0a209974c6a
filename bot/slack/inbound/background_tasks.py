"""Work that goes on after Slack has its answer: kept in sight, drained at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from datetime import timedelta

log = logging.getLogger(__name__)


class BackgroundTasks:
    """A set of named tasks whose ends are seen.

    Slack wants its answer within seconds, and Bolt loses an acknowledgement when its
    listener fails right after giving it; so the work is done here, outside of Bolt.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def running(self) -> frozenset[asyncio.Task[None]]:
        """What has not ended yet."""
        return frozenset(self._tasks)

    def start(self, work: Coroutine[None, None, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` by itself; a failure it did not handle is logged."""
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
        """Wait for what is under way, then cancel the rest; answers how many were cancelled.

        A cancelled delivery is not marked as done, so the next bot takes it up again.
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
