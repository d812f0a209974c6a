"""The engine's worker, with a better end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from procrastinate.exceptions import ConnectorException

from core.queue.engine_internals.worker import EngineWorker

log = logging.getLogger(__name__)

_SIDE_TASKS_LIMIT = 5.0


class DrainingWorker(EngineWorker):
    """A worker that keeps its heartbeat, its listener and its poll until its last job has ended.

    As shipped, it stops all three before it waits for its jobs: a long drain looks dead and
    cannot be killed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._abandoned = asyncio.Event()

    def abandon(self) -> None:
        """Do not wait any longer for jobs that do not end although they were cancelled."""
        self._abandoned.set()

    async def end(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        """Wait for the jobs first, then end what goes on beside them."""
        abandoned = asyncio.create_task(self._abandoned.wait(), name="abandoned")
        try:
            while self.job_tasks and not abandoned.done():
                await asyncio.wait(
                    [*self.job_tasks, abandoned], return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            abandoned.cancel()
        if not self.job_tasks:
            try:
                await super().end(side_tasks)
            except ConnectorException as error:
                log.warning("a worker could not sign off: %r", error.__cause__)
            return
        # The row stays: its heartbeat grows old, and the jobs are found by that.
        log.error("%s jobs did not end when cancelled, left behind", len(self.job_tasks))
        for task in side_tasks:
            task.cancel()
        await asyncio.wait(side_tasks, timeout=_SIDE_TASKS_LIMIT)

    def abort_jobs(self, job_ids: Iterable[int]) -> None:
        """Cancel jobs once each has taken its first step.

        A task that is cancelled before its first step never runs: the job would be neither
        executed nor finished.  Called soon, the abort comes after that step.
        """
        asyncio.get_running_loop().call_soon(super().abort_jobs, tuple(job_ids))
