"""The clock: periodic jobs, which run in one process of the fleet at a time.

A new job is a line in `clock_jobs`.  The clock stores nothing: each job finds out from the
database what there is to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.domain.errors import Unavailable
from core.services.alerts.digests import DigestService
from core.services.alerts.evaluation import AlertEvaluation
from core.services.alerts.progress import ProgressService
from core.services.analytics import AnalyticsService
from core.services.fleet.admission import AdmissionService
from core.services.fleet.resources import ResourceThinning
from core.services.fleet.workspaces import WorkspaceService
from core.services.housekeeping import HousekeepingService
from core.services.retention.retention import RetentionService
from core.services.runs.checkpoints import CheckpointExpiry

log = logging.getLogger(__name__)

DELETE_INTERVAL = timedelta(hours=1)
CLEAN_UP_INTERVAL = timedelta(minutes=10)
# So much longer than they should be, samples can be kept in full.
THINNING_INTERVAL = timedelta(minutes=10)
# Until then who asks for the history of a day that has changed has it computed.
HISTORY_INTERVAL = timedelta(minutes=1)
# For so long a card can show an outdated queue position.
ADMISSION_INTERVAL = timedelta(seconds=2)
# Without a hint an alert fires so late.
EVALUATION_INTERVAL = timedelta(seconds=10)
PROGRESS_INTERVAL = timedelta(seconds=10)
DIGEST_INTERVAL = timedelta(minutes=1)
_RETRY_SECONDS = 1.0
# One call serves all hints that come within this time.
_HINT_GAP_SECONDS = 0.25
# Between two attempts to hear hints.
_HINT_RETRY_SECONDS = 10.0


class Lead(Protocol):
    """The leadership of this process, while it holds it."""

    @property
    def lost(self) -> asyncio.Event:
        """Set when another process may lead."""
        ...


Leadership = Callable[[], AbstractAsyncContextManager[Lead]]
Hints = Callable[[], AsyncIterator[object]]


@dataclass(frozen=True, kw_only=True)
class ClockJob:
    """A periodic job.

    Attributes:
        name: What it does, for logs.
        every: The interval between calls; missed calls are made up for by a single one.
        act: The job; it is never called again before it has returned.
        is_due_at_start: Whether the first call is made when the clock starts.
        hints: After each of these it is called too, soon; without them only at its interval.
    """

    name: str
    every: timedelta
    act: Callable[[], Awaitable[object]]
    is_due_at_start: bool = False
    hints: Hints | None = None
    _calling: asyncio.Lock = field(default_factory=asyncio.Lock, compare=False, repr=False)

    async def call(self) -> None:
        """Call the job, after the call in progress if there is one."""
        async with self._calling:
            await self.act()


def alert_jobs(
    evaluation: AlertEvaluation, digests: DigestService, progress: ProgressService, hints: Hints
) -> tuple[ClockJob, ...]:
    """The jobs that tell people what happens, and what does not."""
    return (
        ClockJob(
            name="evaluate alerts",
            every=EVALUATION_INTERVAL,
            act=evaluation.evaluate,
            is_due_at_start=True,
            hints=hints,
        ),
        ClockJob(name="take progress", every=PROGRESS_INTERVAL, act=progress.take_due),
        ClockJob(
            name="write digests", every=DIGEST_INTERVAL, act=digests.write_due, is_due_at_start=True
        ),
    )


def clock_jobs(
    housekeeping: HousekeepingService,
    admission: AdmissionService,
    checkpoints: CheckpointExpiry,
    workspaces: WorkspaceService,
    resources: ResourceThinning,
) -> tuple[ClockJob, ...]:
    """The jobs that keep the database and the queue in order."""
    return (
        ClockJob(
            name="delete expired rows",
            every=DELETE_INTERVAL,
            act=housekeeping.delete_expired,
            is_due_at_start=True,
        ),
        ClockJob(
            name="delete old alerts",
            every=DELETE_INTERVAL,
            act=housekeeping.delete_old_alerts,
            is_due_at_start=True,
        ),
        ClockJob(
            name="delete old checkpoints",
            every=DELETE_INTERVAL,
            act=checkpoints.delete_expired,
            is_due_at_start=True,
        ),
        ClockJob(
            name="ask for clean-ups of workspaces",
            every=CLEAN_UP_INTERVAL,
            act=workspaces.request_clean_ups,
            is_due_at_start=True,
        ),
        ClockJob(
            name="thin samples of resources",
            every=THINNING_INTERVAL,
            act=resources.thin,
            is_due_at_start=True,
        ),
        ClockJob(name="admit pending runs", every=ADMISSION_INTERVAL, act=admission.admit_waiting),
    )


def history_jobs(analytics: AnalyticsService, retention: RetentionService) -> tuple[ClockJob, ...]:
    """The jobs that keep what has happened, for as long as it is to be kept."""
    return (
        ClockJob(
            name="add partitions of coming months",
            every=DELETE_INTERVAL,
            act=retention.partitions.add_coming,
            is_due_at_start=True,
        ),
        ClockJob(
            name="remove what has expired",
            every=DELETE_INTERVAL,
            act=retention.delete_expired,
            is_due_at_start=True,
        ),
        ClockJob(
            name="compute days of the history",
            every=HISTORY_INTERVAL,
            act=analytics.compute_changed_days,
            is_due_at_start=True,
        ),
    )


@dataclass
class Clock:
    """Calls the jobs while this process leads.

    Attributes:
        leadership: Waits until this process may run the jobs.
        is_leading: Whether this process runs the jobs now.
    """

    leadership: Leadership
    jobs: Sequence[ClockJob]
    is_leading: bool = False

    async def run(self) -> None:
        """Run the jobs whenever this process leads, until cancelled."""
        while True:
            try:
                async with self.leadership() as lead:
                    await self._run_until(lead.lost)
            except (Unavailable, OSError) as error:
                log.warning("the clock stopped: %s", error, extra={"event": "clock.stopped"})
            await asyncio.sleep(_RETRY_SECONDS)

    async def _run_until(self, lost: asyncio.Event) -> None:
        scheduler = AsyncIOScheduler(
            timezone=UTC,
            # Missed calls are made up for by one call, however late.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        for job in self.jobs:
            first = {"next_run_time": datetime.now(UTC)} if job.is_due_at_start else {}
            scheduler.add_job(
                _call,
                "interval",
                args=[job],
                name=job.name,
                seconds=job.every.total_seconds(),
                **first,
            )
        scheduler.start()
        hinted = [
            asyncio.create_task(_call_after_hints(job, job.hints), name=f"clock: {job.name}")
            for job in self.jobs
            if job.hints is not None
        ]
        self.is_leading = True
        log.info("this process keeps the clock", extra={"event": "clock.started"})
        try:
            await lost.wait()
        finally:
            self.is_leading = False
            scheduler.shutdown(wait=False)
            for task in hinted:
                task.cancel()
            if hinted:
                await asyncio.wait(hinted)


async def _call_after_hints(job: ClockJob, hints: Hints) -> None:
    """Call a job soon after each hint, until cancelled; hints that come together get one call."""
    hinted = asyncio.Event()

    async def hear() -> None:
        while True:
            try:
                async for _ in hints():
                    hinted.set()
            except Exception:
                # The calls at its interval go on.
                log.exception(
                    "there are no hints to %s for a while",
                    job.name,
                    extra={"event": "job_hints.failed", "job": job.name},
                )
            await asyncio.sleep(_HINT_RETRY_SECONDS)

    async def call() -> None:
        while True:
            await hinted.wait()
            await asyncio.sleep(_HINT_GAP_SECONDS)
            hinted.clear()
            try:
                await _try(job)
            except Exception:
                # As for a call at its interval, of which APScheduler logs the same.
                log.exception(
                    "the clock failed to %s",
                    job.name,
                    extra={"event": "hinted_job.failed", "job": job.name},
                )

    async with asyncio.TaskGroup() as group:
        group.create_task(hear(), name=f"hints: {job.name}")
        group.create_task(call(), name=f"hinted: {job.name}")


async def _try(job: ClockJob) -> None:
    try:
        await job.call()
    except Unavailable as error:
        log.warning(
            "the clock could not %s: %s",
            job.name,
            error,
            extra={"event": "clock_job.failed", "job": job.name},
        )


async def _call(job: ClockJob) -> None:
    try:
        await _try(job)
    except asyncio.CancelledError:
        # The clock was stopped during the call.  The task ends here: if the cancellation were
        # passed on, APScheduler would log it as a failure, with a traceback.
        log.info(
            "the clock stopped while it was to %s; the next one does",
            job.name,
            extra={"event": "clock_job.cancelled", "job": job.name},
        )
