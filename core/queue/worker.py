"""The worker, which takes jobs from the queue and passes them to a handler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from functools import partial
from typing import Any

from procrastinate import App, JobContext

from core.queue.connector import ResilientConnector
from core.queue.draining import DrainingWorker
from core.queue.jobs import RUNS_QUEUE, TASK_NAME, Job
from core.waiting import wait_for_any

log = logging.getLogger(__name__)

Handler = Callable[[Job], Awaitable[None]]

RESTART_DELAY_SECONDS = 1.0
# A fallback for lost notifications.
POLL_INTERVAL = timedelta(seconds=1)
# How long cancelled handlers may take: longer than a whole kill (12 s).
CANCEL_LIMIT = timedelta(seconds=15)
# How long the last writes and closing the connections may take when no handler runs.
CLOSE_LIMIT_SECONDS = 5.0


class Worker:
    """Executes up to `slots` jobs at a time, and survives outages of Postgres.

    The handler's task is cancelled once, when its job is aborted or when the time to drain is
    over.  Other exceptions of the handler are logged; the job has then failed, and is not executed
    again.

    Attributes:
        name: Unique in the fleet and over restarts; for logs and `pg_stat_activity`.
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
        """Whether it takes jobs: it is registered and not stopping, and Postgres answers."""
        return (
            not self._stopping.is_set()
            and self._engine_worker is not None
            and self._engine_worker.worker_id is not None
            and self._engine_worker.problem is None
            and self._connector is not None
            and self._connector.is_reachable
        )

    @property
    def problem(self) -> str | None:
        """Why it takes no jobs, although it is to and Postgres answers; `None` if it does."""
        engine_worker = None if self._stopping.is_set() else self._engine_worker
        return None if engine_worker is None else engine_worker.problem

    @property
    def active_count(self) -> int:
        """The number of running handlers."""
        return len(self._jobs)

    async def run(self) -> None:
        """Work until `stop` is called.  A cancellation also cancels the handlers."""
        self._ended.clear()
        try:
            while not self._stopping.is_set():
                try:
                    await self._run_engine_worker()
                except Exception:
                    log.exception(
                        "worker %s crashed",
                        self.name,
                        extra={"event": "engine_worker.crashed", "worker_id": self.name},
                    )
                if not self._stopping.is_set():
                    log.error(
                        "worker %s ended unexpectedly, it starts again",
                        self.name,
                        extra={"event": "engine_worker.restarted", "worker_id": self.name},
                    )
                    await wait_for_any(self._stopping, seconds=RESTART_DELAY_SECONDS)
        finally:
            self._ended.set()

    async def stop(self, *, drain: timedelta) -> None:
        """Take no more jobs, and return when the present ones have ended.

        Handlers are cancelled after `drain`, and abandoned if they do not end within
        `cancel_limit` after that.  Jobs can be aborted until they end.
        """
        self._stopping.set()
        await self._drain_then_cancel(drain.total_seconds())
        if not await wait_for_any(self._ended, seconds=2 * CLOSE_LIMIT_SECONDS):
            log.error(
                "worker %s does not end",
                self.name,
                extra={"event": "engine_worker.stop_timed_out", "worker_id": self.name},
            )

    def skip_drain(self) -> None:
        """Cancel handlers as soon as the worker stops, without waiting for their end."""
        self._drain_skipped.set()

    async def _run_engine_worker(self) -> None:
        """Run one worker of the engine until it ends."""
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
                # Fallbacks for lost notifications.
                fetch_job_polling_interval=self._poll_seconds,
                abort_job_polling_interval=self._poll_seconds,
                update_heartbeat_interval=5,
                # Long, so that a live worker is not pruned after an outage.
                stalled_worker_timeout=86_400,
            )
            task = asyncio.create_task(engine_worker.work(), name=f"worker {self.name}")
            task.add_done_callback(lambda _: self._changed.set())
            # The first step of `work` resets an earlier stop, so let it pass before stopping.
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
                # Jobs are left only after a second cancellation.
                engine_worker.abandon()
                self._engine_worker = self._engine_task = self._connector = None

    async def _execute(self, context: JobContext, *, run_id: str, attempt: int) -> None:
        task = asyncio.current_task()
        job_id = context.job.id
        if task is None or job_id is None:
            raise RuntimeError("a job is executed in a task, and has an id")
        job = Job(job_id=job_id, run_id=run_id, attempt=attempt)
        self._jobs.add(task)
        self._changed.set()
        task.add_done_callback(partial(_log_failure, job))
        if self._is_cancelling:
            asyncio.get_running_loop().call_soon(task.cancel)
        try:
            await self._handler(job)
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
        log.info(
            "worker %s cancels %s jobs",
            self.name,
            len(self._jobs),
            extra={
                "event": "jobs.cancelled",
                "worker_id": self.name,
                "count": len(self._jobs),
            },
        )
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
        """Wait for the end of the engine's worker; only briefly once no handler runs."""
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


def _log_failure(job: Job, task: asyncio.Task[Any]) -> None:
    """Log what the engine raised after the handler; what the handler raised it has logged."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error(
            "%s: the end of job %s could not be recorded: %r",
            job.run_id,
            job.job_id,
            error,
            exc_info=error,
            extra={
                "event": "job.record_failed",
                "run_id": job.run_id,
                "attempt": job.attempt,
                "job_id": job.job_id,
            },
        )
