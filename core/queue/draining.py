"""The engine's worker with an orderly shutdown, and with fetches that may fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status

from core.queue.engine_internals import statements
from core.queue.engine_internals.worker import EngineWorker

log = logging.getLogger(__name__)

_SIDE_TASKS_LIMIT = 5.0
_FETCH_RETRY_SECONDS = 1.0
# Longer than the pause between two fetches that fail: the one above, and that of the poll.
_FETCH_FAILING_SECONDS = 5.0


class DrainingWorker(EngineWorker):
    """A worker that keeps its heartbeat, listener and poll running until its last job has ended.

    The engine's own worker stops these before it waits for its jobs.  So a worker that drains for
    long would look dead, and its jobs could not be aborted.

    The engine's own worker also ends when a fetch fails, so that it would take no more jobs before
    its last one has ended, which can take hours.  This one fetches again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._abandoned = asyncio.Event()
        self._is_ending = False
        self._fetch_failed_at: float | None = None
        self._may_have_unstarted_jobs = False

    @property
    def problem(self) -> str | None:
        """Why it takes no jobs; `None` if it does, or is not registered yet."""
        if self._is_ending or self.is_stopping:
            return f"it starts again when the jobs in hand ({len(self.job_ids)}) have ended"
        if self._fetch_failed_at is None:
            return None
        # A later fetch that neither failed nor returned waits for a free slot.
        failed_since = asyncio.get_running_loop().time() - self._fetch_failed_at
        return "its fetches of jobs fail" if failed_since < _FETCH_FAILING_SECONDS else None

    async def fetch(self) -> None:
        """Fetch and start jobs; after a failure the engine calls this again."""
        try:
            if self._may_have_unstarted_jobs:
                await self._fail_unstarted_jobs()
            await super().fetch()
            self._fetch_failed_at = None
        except Exception:
            self._fetch_failed_at = asyncio.get_running_loop().time()
            self._may_have_unstarted_jobs = True
            log.exception(
                "jobs could not be fetched, the next try follows",
                extra={"event": "jobs.fetch_failed"},
            )
            await self.wait_for_stop(seconds=_FETCH_RETRY_SECONDS)

    async def _fail_unstarted_jobs(self) -> None:
        """Finish the jobs that a failed fetch has assigned to this worker as failed."""
        while True:
            unstarted = await self.app.connector.execute_query_all_async(
                statements.UNDELIVERED_JOB, worker_id=self.worker_id, held=self.job_ids
            )
            if not unstarted:
                self._may_have_unstarted_jobs = False
                return
            job_id = unstarted[0]["id"]
            await self.app.job_manager.finish_job_by_id_async(
                job_id=job_id, status=Status.FAILED, delete_job=False
            )
            log.error(
                "job %s could not be started, it has failed",
                job_id,
                extra={"event": "job.start_failed", "job_id": job_id},
            )

    def abandon(self) -> None:
        """Stop waiting for jobs that do not end although they were cancelled."""
        self._abandoned.set()

    async def end(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        """Wait for the jobs, then end the side tasks and unregister the worker."""
        self._is_ending = True
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
