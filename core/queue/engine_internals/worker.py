"""The undocumented parts of the engine's worker, under names of this project.

The rest of `core.queue` uses these names, and otherwise only the engine's documented interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

from procrastinate import sql, worker
from procrastinate.connector import Notify

from core.waiting import wait_for_any

__all__ = ["SIDE_TASKS", "EngineWorker", "Notify", "WorkerQuery", "worker_query"]

# The tasks that a worker runs beside its jobs; they may be cancelled when it ends.
SIDE_TASKS = ("update_heartbeats", "deferrer", "poll_jobs_to_abort", "listener")


class WorkerQuery(StrEnum):
    """The queries of the engine's worker; each may be repeated after a lost answer."""

    FETCH_JOB = "fetch_job"
    FINISH_JOB = "finish_job"
    LIST_JOBS_TO_ABORT = "list_jobs_to_abort"
    PRUNE_STALLED_WORKERS = "prune_stalled_workers"
    REGISTER_WORKER = "register_worker"
    UNREGISTER_WORKER = "unregister_worker"
    UPDATE_HEARTBEAT = "update_heartbeat"


_QUERIES: dict[str, WorkerQuery] = {sql.queries[name]: name for name in WorkerQuery}


def worker_query(query: str) -> WorkerQuery | None:
    """Identify a query of the engine's worker by its text; `None` for any other query."""
    return _QUERIES.get(query)


class EngineWorker(worker.Worker):
    """The engine's worker; a subclass may override its fetches, its shutdown and its aborts."""

    @property
    def job_tasks(self) -> Collection[asyncio.Task[Any]]:
        """The tasks of the jobs in progress."""
        return self._running_jobs.keys()

    @property
    def job_ids(self) -> list[int]:
        """The ids of the jobs in progress."""
        return [one.job.id for one in self._running_jobs.values() if one.job.id is not None]

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to take no more jobs, by `stop_fetching` or by the engine itself."""
        return self._stop_event.is_set()

    async def work(self) -> None:
        """Work until `stop_fetching` is called; a call before the first step has no effect."""
        await super().run()  # type: ignore[no-untyped-call]

    def stop_fetching(self) -> None:
        """Take no more jobs; `work` returns after the last job in progress."""
        super().stop()  # type: ignore[no-untyped-call]

    async def wait_for_stop(self, *, seconds: float) -> None:
        """Wait until it is told to take no more jobs, for `seconds` at most."""
        await wait_for_any(self._stop_event, seconds=seconds)

    async def fetch(self) -> None:
        """Fetch and start jobs until none is left, or until it is told to take no more.

        The engine calls this again after a notification or a poll.  If it raises, the worker ends.
        """
        await super()._fetch_and_process_jobs()  # type: ignore[no-untyped-call]

    async def end(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        """Shut down: cancel the side tasks, wait for the jobs, unregister.

        The engine calls this when no more jobs are taken.
        """
        await super()._shutdown(side_tasks)

    def abort_jobs(self, job_ids: Iterable[int]) -> None:
        """Cancel the tasks of jobs.

        The engine calls this with the jobs to abort, after a notification or a poll.
        """
        super()._handle_abort_jobs_requested(job_ids)

    async def _fetch_and_process_jobs(self) -> None:
        await self.fetch()

    async def _shutdown(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        await self.end(side_tasks)

    def _handle_abort_jobs_requested(self, job_ids: Iterable[int]) -> None:
        self.abort_jobs(job_ids)
