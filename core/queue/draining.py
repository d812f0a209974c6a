"""The engine's worker, with a better end.

This is the one place that relies on private points of the engine: `Worker._shutdown`,
`Worker._running_jobs` and `Worker._handle_abort_jobs_requested`.  A test fails when they move.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from procrastinate import worker
from procrastinate.exceptions import ConnectorException

log = logging.getLogger(__name__)

_SIDE_TASKS_LIMIT = 5.0


class DrainingWorker(worker.Worker):
    """A worker that stays alive to the world until its last job has ended.

    As shipped, it stops its heartbeat, its listener and its look for jobs to abort before it
    waits for its jobs: a long drain looks dead and cannot be killed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._abandoned = asyncio.Event()

    async def work(self) -> None:
        """Work until told to stop."""
        await super().run()  # type: ignore[no-untyped-call]

    def stop_fetching(self) -> None:
        """Take no more jobs; `work` ends with the last one in hand."""
        super().stop()  # type: ignore[no-untyped-call]

    def abandon(self) -> None:
        """Do not wait any longer for jobs that do not end although they were cancelled."""
        self._abandoned.set()

    async def _shutdown(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        abandoned = asyncio.create_task(self._abandoned.wait(), name="abandoned")
        try:
            while self._running_jobs and not abandoned.done():
                await asyncio.wait(
                    [*self._running_jobs, abandoned], return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            abandoned.cancel()
        if not self._running_jobs:
            try:
                await super()._shutdown(side_tasks)
            except ConnectorException as error:
                log.warning("a worker could not sign off: %r", error.__cause__)
            return
        # The row stays: its heartbeat grows old, and the jobs are found by that.
        log.error("%s jobs did not end when cancelled, left behind", len(self._running_jobs))
        for task in side_tasks:
            task.cancel()
        await asyncio.wait(side_tasks, timeout=_SIDE_TASKS_LIMIT)

    def _handle_abort_jobs_requested(self, job_ids: Iterable[int]) -> None:
        # A task that is cancelled before its first step never runs: the job would neither be
        # executed nor finished.  Called soon, the abort comes after that step.
        asyncio.get_running_loop().call_soon(super()._handle_abort_jobs_requested, tuple(job_ids))
