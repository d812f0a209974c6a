"""Execute one run, step by step: begin, work (prepare, converse), stop if it has to, settle."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from core.agent.definitions.catalog import Catalog
from core.domain.errors import Conflict, OpsError, Unavailable
from core.domain.runs.run import IllegalTransition, Run, RunStatus, StaleAttempt, StopReason
from core.queue.jobs import Job
from core.runner.execution.attempt import Attempt, Cause, Failure, Stopped
from core.runner.execution.carry import Carrier
from core.runner.execution.ending import AttemptEnding
from core.runner.execution.ledger import Ledger
from core.runner.execution.prior_usage import PriorUsage
from core.runner.execution.progress import Progress
from core.runner.execution.settlement import Settlement
from core.runner.execution.work import AgentEnvironment, AgentWork
from core.runner.log_fields import log_fields
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable, run_uninterrupted
from core.runner.worker.lease import Lease
from core.store.sessions.transcripts import Transcripts
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# At most two writes a second for a run, however fast its agent is.
_WRITE_EVERY = timedelta(milliseconds=500)
# After the tree is gone, for the stream's last words to be read.
_STREAM_END_LIMIT = timedelta(seconds=3)
# To read from the row why the attempt is to end.
_CAUSE_PATIENCE = timedelta(seconds=3)

WorkTask = asyncio.Task[Failure | None]


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Executes the jobs of one worker.

    Attributes:
        lease: Knows what this worker executes; the heartbeat renews it.
        agents: What every agent is started with.
    """

    ledger: Ledger
    catalog: Catalog
    workspaces: Workspaces
    kills: InterruptedKills
    transcripts: Transcripts
    lease: Lease
    agents: AgentEnvironment

    async def __call__(self, job: Job) -> None:
        """Execute the job's attempt of its run, if it is still to be executed.

        Being cancelled means to end: killed if the row says so, else handed over.
        """
        attempt = await run_uninterrupted(self._begin(job), name=f"begin {job.run_id}")
        if attempt is None:
            return
        with self.lease.holding(attempt):
            await self._execute(attempt)

    async def _execute(self, attempt: Attempt) -> None:
        run_id = attempt.run.run_id
        carrier = Carrier(self.ledger, self.workspaces)
        agent_work = AgentWork(self.ledger, self.workspaces, self.transcripts, carrier, self.agents)
        settlement = Settlement(self.ledger, self.workspaces, carrier, self.agents.home)
        work: WorkTask = asyncio.create_task(agent_work.run(attempt), name=f"work {run_id}")
        writer = asyncio.create_task(self._write(attempt, work), name=f"write {run_id}")
        stopped: Stopped | None = None

        async def settle() -> None:
            writer.cancel()
            await asyncio.wait({work, writer})
            failure = None if work.cancelled() else work.result()
            await settlement.settle(attempt, failure, stopped)

        try:
            if await self._wait_for_end(attempt, work):
                stopped = await run_uninterrupted(self._stop(attempt, work), name=f"stop {run_id}")
        finally:
            await run_uninterrupted(settle(), name=f"settle {run_id}")

    async def _begin(self, job: Job) -> Attempt | None:
        run = await retry_while_unavailable(
            lambda: self.ledger.begin(job.run_id, job.attempt, job_id=job.job_id),
            patience=UNLIMITED_PATIENCE,
        )
        if run is None:
            run = await self._recover_lost_begin(job)
        if run is None:
            return None
        try:
            definition = self.catalog.get(run.workflow_name)
        except OpsError as error:
            # Its definition was removed while it waited.
            message = error.user_message
            await retry_while_unavailable(
                lambda: self.ledger.fail(run, StopReason.SETUP_ERROR, message)
            )
            return None
        return Attempt(
            run=run,
            definition=definition,
            progress=Progress(model=run.ai_model, prior_usage=PriorUsage.of_run(run)),
        )

    async def _recover_lost_begin(self, job: Job) -> Run | None:
        """A job whose run cannot begin: killed meanwhile, or taken over by another attempt.

        Or it has begun already, here and just now, and the answer to that was lost.
        """
        run = await retry_while_unavailable(
            lambda: self.ledger.read_run(job.run_id), patience=UNLIMITED_PATIENCE
        )
        is_this_attempt = run.attempt == job.attempt and run.job_id == job.job_id
        is_ours = is_this_attempt and run.worker_id == self.ledger.worker_id
        if is_ours and run.status is RunStatus.RUNNING and not self.lease.holds(run):
            log.warning(
                "%s had begun; the answer was lost",
                job.run_id,
                extra=log_fields("attempt.begin_recovered", run, job_id=job.job_id),
            )
            return run
        is_still_pending = run.status is RunStatus.PENDING and run.attempt == job.attempt
        if is_still_pending and run.kill_requested_at is not None:
            # It waited as a later attempt; what an earlier one left is ended first.
            with suppress(Conflict):  # Another worker has just finished it.
                await retry_while_unavailable(lambda: self.kills.finish_kill(run, is_job_held=True))
        log.info(
            "%s attempt %s is not to be executed (%s)",
            job.run_id,
            job.attempt,
            run.status,
            extra={
                "event": "job.skipped",
                "run_id": job.run_id,
                "attempt": job.attempt,
                "job_id": job.job_id,
                "status": run.status.value,
            },
        )
        return None

    async def _wait_for_end(self, attempt: Attempt, work: WorkTask) -> bool:
        """Wait until the work ends, or has to be ended.

        Returns:
            Whether it has to be ended; the attempt's cause says why.
        """
        stop, name = attempt.stop, f"why {attempt.run.run_id}"
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Cancelled while the run began, which went on to its end all the same.
            return await run_uninterrupted(self._read_cause(attempt), name=name)
        stop_wait = asyncio.create_task(stop.requested.wait(), name=f"stop of {attempt.run.run_id}")
        try:
            done, _ = await asyncio.wait(
                {work, stop_wait},
                timeout=attempt.timeout.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        except asyncio.CancelledError:
            return await run_uninterrupted(self._read_cause(attempt), name=name)
        finally:
            stop_wait.cancel()
        if work.cancelled() and stop.cause is None:
            # Not by us: the whole process is being torn down, and has left this behind.
            return await run_uninterrupted(self._read_cause(attempt), name=name)
        if work in done:
            return stop.cause is not None
        if stop_wait in done:
            stop.cause = stop.cause or stop.requested_cause
            return True
        stop.cause = stop.cause or Cause.TIMEOUT
        return True

    async def _read_cause(self, attempt: Attempt) -> bool:
        """Find out what a cancellation means: a shutdown, unless the row says otherwise.

        Returns:
            `True`: the attempt has to be ended.
        """
        cause = Cause.HANDOVER
        with suppress(Unavailable):
            run = await retry_while_unavailable(
                lambda: self.ledger.read_run(attempt.run.run_id), patience=_CAUSE_PATIENCE
            )
            if run.attempt != attempt.run.attempt:
                # Whatever is requested of it is for another worker to do.
                cause = Cause.FENCED
            elif run.kill_requested_at is not None:
                cause = Cause.KILL
        attempt.stop.cause = attempt.stop.cause or cause
        return True

    async def _write(self, attempt: Attempt, work: WorkTask) -> None:
        """Write the growing account, at most twice a second, until the work is over."""
        while not work.done():
            await attempt.has_changes.wait()
            attempt.has_changes.clear()
            try:
                await self.ledger.write_progress(attempt)
            except Unavailable:
                attempt.has_changes.set()
            except (StaleAttempt, IllegalTransition):
                log.warning(
                    "%s was reassigned; its agent here is stopped",
                    attempt.run.run_id,
                    extra=log_fields("attempt.fenced", attempt.run),
                )
                attempt.stop.fence()
                return
            await asyncio.sleep(_WRITE_EVERY.total_seconds())

    async def _stop(self, attempt: Attempt, work: WorkTask) -> Stopped:
        """End what runs, by the ladder; afterwards nothing of the attempt runs."""
        ending = AttemptEnding(self.ledger, attempt)
        if attempt.opened.agent is None:
            # It may be starting: what is there is ended with its phases written; what was on its
            # way is called off, and nothing starts behind the ladder's back.
            await ending.run_ladder()
            work.cancel()
            await asyncio.wait({work}, timeout=_STREAM_END_LIMIT.total_seconds())
        stopped = await ending.run_ladder()
        await asyncio.wait({work}, timeout=_STREAM_END_LIMIT.total_seconds())
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
        stopped = await ending.save_work(stopped, self.workspaces)
        cleanup = await ending.clean_up(self.kills.cleaner)
        return await ending.record_proof(stopped, cleanup)
