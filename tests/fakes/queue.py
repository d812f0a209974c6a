"""A job handler that records what happens to it, and a worker around it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from core.queue import jobs
from core.queue.jobs import Job
from core.queue.worker import POLL_INTERVAL, Worker
from tests.limits import limit, patient


class RecordingHandler:
    """Works on each job until it is released or aborted.

    Attributes:
        log: The events in order: ("started" | "ended" | "cancelled", run_id).
    """

    def __init__(
        self, *, ends_at_once: bool = False, on_start: Callable[[Job], None] | None = None
    ):
        self.log: list[tuple[str, str]] = []
        self.jobs: list[Job] = []
        self.at: dict[tuple[str, str], float] = {}
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._lets_go = ends_at_once
        self._sets_off = on_start

    async def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        self._record("started", job)
        if self._sets_off is not None:
            self._sets_off(job)
        try:
            if not self._lets_go:
                await self._gates[job.run_id].wait()
        except asyncio.CancelledError:
            self._record("cancelled", job)
            raise
        self._record("ended", job)

    def release(self, run_id: str) -> None:
        self._gates[run_id].set()

    def has_logged(self, kind: str, run_id: str) -> Callable[[], bool]:
        return lambda: (kind, run_id) in self.log

    def logged_runs(self, kind: str) -> list[str]:
        return [run_id for event, run_id in self.log if event == kind]

    def _record(self, kind: str, job: Job) -> None:
        self.log.append((kind, job.run_id))
        self.at[kind, job.run_id] = asyncio.get_running_loop().time()


async def wait_until(holds: Callable[[], bool], *, within: float = 10.0) -> float:
    """Wait for a condition; returns the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not holds():
        if loop.time() - began > patient(within):
            raise AssertionError(f"did not come true within {patient(within)} s")
        await asyncio.sleep(0.002)
    return loop.time() - began


@asynccontextmanager
async def running_worker(
    dsn: str,
    handler: Callable[[Job], object],
    *,
    slots: int = 4,
    cancel_limit: float = 5.0,
    poll_interval: timedelta = POLL_INTERVAL,
) -> AsyncIterator[Worker]:
    """Run a worker that is ready to fetch jobs."""
    worker = Worker(
        dsn,
        name=f"worker-{uuid4().hex[:8]}",
        slots=slots,
        handler=handler,  # type: ignore[arg-type]
        cancel_limit=timedelta(seconds=cancel_limit),
        poll_interval=poll_interval,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name=worker.name)
        try:
            await wait_until(lambda: worker.is_ready)
            yield worker
        finally:
            await worker.stop(drain=timedelta(0))


async def add_job(
    sessions: async_sessionmaker[AsyncSession],
    run_id: str,
    *,
    session_id: UUID | None = None,
    priority: int = 0,
    attempt: int = 1,
) -> int:
    async with sessions.begin() as session:
        return await jobs.enqueue(
            session,
            run_id=run_id,
            attempt=attempt,
            session_id=session_id or uuid4(),
            priority=priority,
        )


async def abort_job(sessions: async_sessionmaker[AsyncSession], job_id: int) -> bool:
    async with sessions.begin() as session:
        return await jobs.abort(session, job_id)


async def job_status(sessions: async_sessionmaker[AsyncSession], job_id: int) -> str:
    async with sessions.begin() as session:
        return str(
            await session.scalar(
                text("SELECT status FROM procrastinate.procrastinate_jobs WHERE id = :job_id"),
                {"job_id": job_id},
            )
        )


async def wait_for_status(
    sessions: async_sessionmaker[AsyncSession], job_id: int, expected: str, *, within: float = 10.0
) -> None:
    async with limit(within):
        while True:
            if await job_status(sessions, job_id) == expected:
                return
            await asyncio.sleep(0.01)


async def wait_until_no_live_jobs(
    sessions: async_sessionmaker[AsyncSession], *, within: float = 10.0
) -> None:
    count = text(
        "SELECT count(*) FROM procrastinate.procrastinate_jobs WHERE status IN ('todo', 'doing')"
    )
    async with limit(within):
        while True:
            async with sessions() as session:
                if not await session.scalar(count):
                    return
            await asyncio.sleep(0.01)
