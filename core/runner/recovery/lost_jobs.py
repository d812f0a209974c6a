"""Pending runs whose job can no longer start them: they get another job, or come to an end.

A job is lost if its worker died after it took the job and before the run began.  It has failed if
the beginning met an error that nobody foresaw: its transaction was undone, and the engine repeats
no job.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.errors import Conflict, Unavailable
from core.domain.fleet.attempt import HEARTBEAT_INTERVAL, STALLED_AFTER
from core.domain.runs.errors import RunNotFound
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, RunStatus, StopReason
from core.queue import jobs
from core.runner.execution.attempt_result import start_failed
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.log_fields import log_fields
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.recovery.lost_worker import GIVE_UP_AFTER, RECHECK_AFTER
from core.services.fleet.dispatch import dispatch_run
from core.store import events
from core.store.fleet import pending
from core.store.runs import run_queries

log = logging.getLogger(__name__)

# How many jobs of one attempt may fail.
MAX_FAILED_STARTS = 5
# After the first failed job, and twice as long after each further one: a failure that passes soon,
# as during an update, does not end the run.
_FIRST_PAUSE = HEARTBEAT_INTERVAL
# In the events of failed starts: the attempt that could not begin.
_FAILED_ATTEMPT = "failed_start_of"


@dataclass
class LostJobs:
    """Replaces the lost and the failed jobs of the whole fleet, from one worker.

    Attributes:
        silent: By job id: when the job's worker was first found silent.
        ended: By job id: when the job was first found to have ended before its run began.
    """

    ledger: Ledger
    kills: InterruptedKills
    silent: dict[int, datetime] = field(default_factory=dict)
    ended: dict[int, datetime] = field(default_factory=dict)

    async def replace_lost_jobs(self) -> None:
        """Check once for lost and for failed jobs, and replace those that are due.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.ledger.context.clock()
        async with self.ledger.context.transaction() as session:
            silent = await jobs.list_stalled(session, max_silence=STALLED_AFTER)
            waiting = await pending.job_ids(session)
            ended = await jobs.list_ended(session, waiting) if waiting else []
        self.silent = {job.job_id: self.silent.get(job.job_id, now) for job in silent}
        self.ended = {job_id: self.ended.get(job_id, now) for job_id in ended}
        for job in silent:
            waited = now - self.silent[job.job_id]
            if waited >= RECHECK_AFTER:
                await self._guard(self._replace_lost(job), job.run_id, job.job_id, waited)
        for job_id in ended:
            run_id, waited = waiting[job_id], now - self.ended[job_id]
            await self._guard(self._replace_failed(run_id, job_id, waited), run_id, job_id, waited)

    async def _guard(
        self, replacing: Awaitable[None], run_id: str, job_id: int, waited: timedelta
    ) -> None:
        """Replace one job; a failure does not prevent the others, and is not repeated for ever."""
        fields = {"run_id": run_id, "job_id": job_id}
        try:
            await replacing
        except Unavailable:
            raise
        except Conflict as error:
            log.info(
                "%s was settled elsewhere: %s",
                run_id,
                error,
                extra={"event": "job_rescue.superseded", **fields},
            )
        except Exception:
            log.exception(
                "job %s of %s cannot be replaced, it is tried again",
                job_id,
                run_id,
                extra={"event": "job.replace_failed", **fields},
            )
            if waited >= GIVE_UP_AFTER:
                await self._give_up(run_id, job_id)

    async def _replace_lost(self, job: jobs.Job) -> None:
        """Finish a job whose worker died, and give its run another one if it had not begun.

        Both or nothing: a pending run whose job has ended would wait.
        """
        now = self.ledger.context.clock()
        async with self.ledger.context.transaction() as session:
            # The row of the run before that of its job, in the order of a kill.
            run = await self._lock_run_of(session, job)
            if run is not None and run.status is RunStatus.RUNNING and run.attempt == job.attempt:
                return  # the heartbeat of the attempt decides
            await jobs.finish_abandoned(session, job.job_id)
            if run is None or run.status is not RunStatus.PENDING or run.job_id != job.job_id:
                return
            run = await dispatch_run(session, run, now=now)
        log.warning(
            "%s: its job was lost before it began; it has a new one",
            run.run_id,
            extra=log_fields("job.replaced", run, job_id=job.job_id),
        )

    async def _lock_run_of(self, session: AsyncSession, job: jobs.Job) -> Run | None:
        try:
            return await run_queries.get_for_update(session, job.run_id)
        except RunNotFound:
            log.warning(
                "job %s is for %s, which is no run of this database",
                job.job_id,
                job.run_id,
                extra={"event": "job.unmatched", "run_id": job.run_id, "job_id": job.job_id},
            )
            return None

    async def _replace_failed(self, run_id: str, job_id: int, waited: timedelta) -> None:
        """Give a run whose job has failed another one, unless too many have."""
        now = self.ledger.context.clock()
        async with self.ledger.context.transaction() as session:
            run = await run_queries.get_for_update(session, run_id)
            is_waiting = run.status is RunStatus.PENDING and run.job_id == job_id
            if not is_waiting or not await jobs.list_ended(session, [job_id]):
                return
            failed_starts = await _count_failed_starts(session, run) + 1
            has_new_job = run.kill_requested_at is None and failed_starts < MAX_FAILED_STARTS
            if has_new_job:
                if waited < _FIRST_PAUSE * 2 ** (failed_starts - 1):
                    return
                data = {"why": "its start failed", "lost": False, _FAILED_ATTEMPT: run.attempt}
                failed = EventRecord(kind=EventKind.RUN_REQUEUED, at=now, data=data)
                await events.append(session, run.id, run.attempt, [failed])
                await dispatch_run(session, run, now=now)
        if has_new_job:
            log.warning(
                "%s: job %s failed before it began; it has a new one",
                run.run_id,
                job_id,
                extra=log_fields("run.start_retried", run, job_id=job_id, count=failed_starts),
            )
        elif run.kill_requested_at is None:
            await self._fail(run)
        elif await self.ledger.kills.open_termination(run) is None:
            # It is proven gone, and the worker that found the proof died before it wrote the end.
            await self.kills.finish_kill(run)

    async def _give_up(self, run_id: str, job_id: int) -> None:
        run = await self.ledger.read_run(run_id)
        if run.status is RunStatus.PENDING and run.job_id == job_id:
            await self._fail(run)

    async def _fail(self, run: Run) -> None:
        await self.ledger.end_anyhow(run, StopReason.SETUP_ERROR, start_failed(run).user_message)
        log.error(
            "%s ended: it could not be started",
            run.run_id,
            extra=log_fields("run.ended", run, stop_reason=StopReason.SETUP_ERROR.value),
        )


async def _count_failed_starts(session: AsyncSession, run: Run) -> int:
    requeued = await events.of_run(session, run.id, kinds=(EventKind.RUN_REQUEUED,))
    return sum(event.data.get(_FAILED_ATTEMPT) == run.attempt for event in requeued)
