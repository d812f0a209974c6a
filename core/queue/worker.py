"""The worker: takes jobs from the queue and gives them to a handler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any

from procrastinate import App, JobContext

from core.queue.connector import ResilientConnector
from core.queue.draining import DrainingWorker
from core.queue.jobs import RUNS_QUEUE, TASK_NAME, Job
from core.waiting import wait_for_any

log = logging.getLogger(__name__)

Handler = Callable[[Job], Awaitable[None]]

RESTART_DELAY_SECONDS = 1.0
# Notifications tell what is new; this is for those that are lost.
POLL_INTERVAL = timedelta(seconds=1)
# For handlers after they were cancelled: longer than the whole ladder of a kill (12 s).
CANCEL_LIMIT = timedelta(seconds=15)
# For what is left when no handler runs: the last writes, and closing the connections.
CLOSE_LIMIT_SECONDS = 5.0


class Worker:
    """Executes jobs, `slots` at a time, and lives through outages of Postgres.

    The handler's task gets `CancelledError` once when its job is called off, or when the time
    to drain is over.  What else the handler raises is logged, and the job counts as failed;
    it is never executed again.

    Attributes:
        name: Unique over the fleet and over restarts; for logs and `pg_stat_activity`.
    """

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        slots: int,
        handler: Handler,
        queues: Collection[str] = (RUNS_QUEUE,),
        cancel_limit: timedelta = CANCEL_LIMIT,
        poll_interval: timedelta = POLL_INTERVAL,
    ) -> None:
        self.name = name
        self._dsn = dsn
        self._slots = slots
        self._handler = handler
        self._queues = list(queues)
        self._cancel_limit = cancel_limit.total_seconds()
        self._poll_seconds = poll_interval.total_seconds()
        self._jobs: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self._is_cancelling = False
        self._stopping = asyncio.Event()
        self._drain_skipped = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._engine_worker: DrainingWorker | None = None
        self._engine_task: asyncio.Task[None] | None = None
        self._connector: ResilientConnector | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it takes jobs: registered, Postgres answers, not stopping."""
        return (
            not self._stopping.is_set()
            and self._engine_worker is not None
            and self._engine_worker.worker_id is not None
            and self._connector is not None
            and self._connector.is_reachable
        )

    @property
    def active_count(self) -> int:
        """How many handlers run."""
        return len(self._jobs)

    async def run(self) -> None:
        """Work until `stop`.  When cancelled, handlers are cancelled too."""
        self._ended.clear()
        try:
            while not self._stopping.is_set():
                try:
                    await self._run_engine_worker()
                except Exception:
                    log.exception("worker %s broke down", self.name)
                if not self._stopping.is_set():
                    log.error("worker %s ended unexpectedly, it starts again", self.name)
                    await wait_for_any(self._stopping, seconds=RESTART_DELAY_SECONDS)
        finally:
            self._ended.set()

    async def stop(self, *, drain: timedelta) -> None:
        """Take no more jobs and return when those in hand have ended.

        After `drain` their handlers are cancelled; those that have not ended
        `cancel_limit` later are left behind.  Until its end every job can still be called off.
        """
        self._stopping.set()
        await self._drain_then_cancel(drain.total_seconds())
        if not await wait_for_any(self._ended, seconds=2 * CLOSE_LIMIT_SECONDS):
            log.error("worker %s does not end", self.name)

    def skip_drain(self) -> None:
        """Cancel handlers as soon as the worker stops, without waiting for their end."""
        self._drain_skipped.set()

    async def _run_engine_worker(self) -> None:
        """Run one inner worker to its end."""
        connector = ResilientConnector(self._dsn, name=self.name)
        async with connector.open_pool():
            app = App(connector=connector)
            app.task(name=TASK_NAME, pass_context=True)(self._execute)
            engine_worker = DrainingWorker(
                app=app,
                queues=self._queues,
                name=self.name,
                concurrency=self._slots,
                install_signal_handlers=False,
                # Notifications wake it; these are for those that got lost.
                fetch_job_polling_interval=self._poll_seconds,
                abort_job_polling_interval=self._poll_seconds,
                update_heartbeat_interval=5,
                # A live worker must not be pruned after a mere outage.
                stalled_worker_timeout=86_400,
            )
            task = asyncio.create_task(engine_worker.work(), name=f"worker {self.name}")
            task.add_done_callback(lambda _: self._changed.set())
            # Its first step forgets an earlier stop.
            await asyncio.sleep(0)
            self._engine_worker, self._engine_task, self._connector = engine_worker, task, connector
            try:
                if self._stopping.is_set():
                    engine_worker.stop_fetching()
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self._stopping.set()
                await self._drain_then_cancel(0)
                raise
            finally:
                # Only a second cancellation leaves anything to abandon.
                engine_worker.abandon()
                self._engine_worker = self._engine_task = self._connector = None

    async def _execute(self, context: JobContext, *, run_id: str, attempt: int) -> None:
        task = asyncio.current_task()
        job_id = context.job.id
        if task is None or job_id is None:
            raise RuntimeError("a job is executed in a task, and has an id")
        self._jobs.add(task)
        self._changed.set()
        task.add_done_callback(_log_failure)
        if self._is_cancelling:
            asyncio.get_running_loop().call_soon(task.cancel)
        try:
            await self._handler(Job(job_id=job_id, run_id=run_id, attempt=attempt))
        finally:
            self._jobs.discard(task)
            self._changed.set()

    async def _drain_then_cancel(self, drain: float) -> None:
        engine_worker, task, connector = self._engine_worker, self._engine_task, self._connector
        if engine_worker is None or task is None or connector is None:
            return
        engine_worker.stop_fetching()
        if await self._wait_ended(task, timeout_seconds=drain, cut_short_by=self._drain_skipped):
            return
        self._is_cancelling = True
        log.info("worker %s cancels %s jobs", self.name, len(self._jobs))
        for job in self._jobs:
            # A job that is being cancelled already is not cancelled a second time.
            if not job.cancelling():
                job.cancel()
        if await self._wait_ended(task, timeout_seconds=self._cancel_limit):
            return
        connector.stop_retrying()
        engine_worker.abandon()
        await asyncio.wait({task}, timeout=CLOSE_LIMIT_SECONDS)

    async def _wait_ended(
        self,
        engine_task: asyncio.Task[None],
        *,
        timeout_seconds: float,
        cut_short_by: asyncio.Event | None = None,
    ) -> bool:
        """Wait for the inner worker's end; not for long once no handler runs."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        cut_short = cut_short_by or asyncio.Event()
        while not engine_task.done():
            if cut_short.is_set():
                return False
            remaining_seconds = deadline - loop.time()
            if not self._jobs:
                remaining_seconds = min(remaining_seconds, CLOSE_LIMIT_SECONDS)
            self._changed.clear()
            if not await wait_for_any(self._changed, cut_short, seconds=remaining_seconds):
                return engine_task.done()
        return True


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a job's end could not be recorded: %r", error)
