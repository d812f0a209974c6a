"""The private points of the engine's worker, under names of ours.

The rest of `core.queue` overrides and calls what is named here and nothing else that the
engine does not document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

from procrastinate import sql, worker
from procrastinate.connector import Notify

__all__ = ["SIDE_TASKS", "EngineWorker", "Notify", "WorkerQuery", "worker_query"]

# What a worker does beside its jobs; each may be cancelled at its end.
SIDE_TASKS = ("update_heartbeats", "deferrer", "poll_jobs_to_abort", "listener")


class WorkerQuery(StrEnum):
    """What the worker itself asks of Postgres; each may be asked again after a lost answer."""

    FETCH_JOB = "fetch_job"
    FINISH_JOB = "finish_job"
    LIST_JOBS_TO_ABORT = "list_jobs_to_abort"
    PRUNE_STALLED_WORKERS = "prune_stalled_workers"
    REGISTER_WORKER = "register_worker"
    UNREGISTER_WORKER = "unregister_worker"
    UPDATE_HEARTBEAT = "update_heartbeat"


_QUERIES: dict[str, WorkerQuery] = {sql.queries[name]: name for name in WorkerQuery}


def worker_query(query: str) -> WorkerQuery | None:
    """Which of the worker's own queries this text is; `None` for any other."""
    return _QUERIES.get(query)


class EngineWorker(worker.Worker):
    """The engine's worker, with its end and its aborts open to a subclass."""

    @property
    def job_tasks(self) -> Collection[asyncio.Task[Any]]:
        """The tasks of the jobs in hand."""
        return self._running_jobs.keys()

    async def work(self) -> None:
        """Work until told to stop; a stop from before the first step is forgotten."""
        await super().run()  # type: ignore[no-untyped-call]

    def stop_fetching(self) -> None:
        """Take no more jobs; `work` ends with the last one in hand."""
        super().stop()  # type: ignore[no-untyped-call]

    async def end(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        """Called when no more jobs are taken: cancel the side tasks, wait for jobs, sign off."""
        await super()._shutdown(side_tasks)

    def abort_jobs(self, job_ids: Iterable[int]) -> None:
        """Called with ids of jobs to abort, by notification or by poll: cancel their tasks."""
        super()._handle_abort_jobs_requested(job_ids)

    async def _shutdown(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        await self.end(side_tasks)

    def _handle_abort_jobs_requested(self, job_ids: Iterable[int]) -> None:
        self.abort_jobs(job_ids)
