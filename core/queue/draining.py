"""The engine's worker with an orderly shutdown."""

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
    """A worker that keeps its heartbeat, listener and poll running until its last job has ended.

    The engine's own worker stops these before it waits for its jobs.  So a worker that drains for
    long would look dead, and its jobs could not be aborted.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._abandoned = asyncio.Event()

    def abandon(self) -> None:
        """Stop waiting for jobs that do not end although they were cancelled."""
        self._abandoned.set()

    async def end(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        """Wait for the jobs, then end the side tasks and unregister the worker."""
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
                log.warning(
                    "a worker could not sign off: %r",
                    error.__cause__,
                    extra={"event": "engine_worker.sign_off_failed"},
                )
            return
        # The worker's row stays: by its old heartbeat the jobs are found as stalled.
        log.error(
            "%s jobs did not end when cancelled, left behind",
            len(self.job_tasks),
            extra={"event": "jobs.abandoned", "count": len(self.job_tasks)},
        )
        for task in side_tasks:
            task.cancel()
        await asyncio.wait(side_tasks, timeout=_SIDE_TASKS_LIMIT)

    def abort_jobs(self, job_ids: Iterable[int]) -> None:
        """Cancel jobs, each after its task has started.

        A task that is cancelled before its first step never runs, so the job would neither be
        executed nor finished.  `call_soon` delays the cancellation until after that step.
        """
        asyncio.get_running_loop().call_soon(super().abort_jobs, tuple(job_ids))
