"""Execute one attempt of a run: begin, work, stop from outside if needed, settle."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from core.agent.definitions.catalog import Catalog
from core.domain.errors import Conflict, OpsError, Unavailable, unforeseen
from core.domain.runs.errors import IllegalTransition, StaleAttempt
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.work.checkpoint_policy import DEFAULT_POLICY, CheckpointPolicy
from core.queue.jobs import Job
from core.runner.checkpoints.checkpoint_ledger import CheckpointLedger
from core.runner.checkpoints.checkpointer import Checkpointer
from core.runner.execution.attempt import Attempt, Cause, Failure, Stopped
from core.runner.execution.attempt_result import unexpected_error
from core.runner.execution.ending import AttemptEnding
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.life_watch import USUAL_LOOKS, LifeWatch, LookTimes
from core.runner.execution.progress import Progress
from core.runner.execution.restarts.definition import definition_of
from core.runner.execution.settlement import Settlement
from core.runner.execution.usage.prior_usage import PriorUsage
from core.runner.execution.work import AgentEnvironment, AgentWork, Room
from core.runner.keeping.afterwards import Afterwards
from core.runner.keeping.carry import Carrier
from core.runner.keeping.keeper import WorkKeeper
from core.runner.log_fields import log_fields
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable, run_uninterrupted
from core.runner.worker.lease import Lease
from core.store.sessions.transcripts import Transcripts
from core.waiting import Backoff
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# At most two writes per second and run, however fast its agent is; fewer while they fail.
# A write takes some 10 ms of processor time, with the drawing that follows from it 30 ms.
_WRITE_EVERY = timedelta(seconds=1)
_WRITE_BACKOFF = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=10))
# After all processes ended, for the rest of the agent's stream to be read.
_STREAM_END_LIMIT = timedelta(seconds=3)
# For reading from the row why the attempt has to stop.
_CAUSE_PATIENCE = timedelta(seconds=3)

WorkTask = asyncio.Task[Failure | None]


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Executes the jobs of one worker.

    Attributes:
        lease: Knows the attempts that this worker executes; the heartbeat renews it.
        agents: The settings that every agent is started with.
        looks: When the programs of a silent agent are looked at.
        checkpoints: When checkpoints are taken, and which are kept.
        room: Makes room on the disk for a run that begins.
    """

    ledger: Ledger
    catalog: Catalog
    workspaces: Workspaces
    kills: InterruptedKills
    transcripts: Transcripts
    lease: Lease
    agents: AgentEnvironment
    looks: LookTimes = USUAL_LOOKS
    checkpoints: CheckpointPolicy = DEFAULT_POLICY
    room: Room | None = None

    async def __call__(self, job: Job) -> None:
        """Execute the attempt that the job names, if it is still pending.

        A cancellation stops it: as killed if the row has a kill request, otherwise it is handed
        over to another worker.
        """
        attempt = await run_uninterrupted(self._begin(job), name=f"begin {job.run_id}")
        if attempt is None:
            return
        with self.lease.holding(attempt):
            async with attempt.opened.held:
                await self._execute(attempt)

    async def _execute(self, attempt: Attempt) -> None:
        run_id = attempt.run.run_id
        carrier = Carrier(self.ledger, self.workspaces)
        checkpointer = Checkpointer(
            CheckpointLedger(self.ledger.context), self.workspaces, self.checkpoints
        )
        agent_work = AgentWork(
            self.ledger,
            self.workspaces,
            self.transcripts,
            carrier,
            checkpointer,
            self.agents,
            self.room,
        )
        settlement = Settlement(
            self.ledger,
            WorkKeeper(self.workspaces),
            carrier,
            checkpointer,
            self.kills.cleaner,
            self.agents.home,
            self.agents.retry,
        )
        work: WorkTask = asyncio.create_task(agent_work.run(attempt), name=f"work {run_id}")
        writer = asyncio.create_task(self._write(attempt, work), name=f"write {run_id}")
        life = LifeWatch(attempt, self.ledger.context.clock, self.looks)
        watch = asyncio.create_task(life.run(), name=f"watch life {run_id}")
        stopped: Stopped | None = None

        async def settle() -> Afterwards | None:
            writer.cancel()
            watch.cancel()
            # It works still only if its stop has failed.  Closing its agent ends the processes.
            work.cancel()
            await asyncio.wait({work, writer, watch})
            failure = None if work.cancelled() else work.result()
            return await settlement.settle(attempt, failure, stopped)

        try:
            if await self._wait_for_end(attempt, work):
                stopped = await run_uninterrupted(self._stop(attempt, work), name=f"stop {run_id}")
        finally:
            afterwards = await run_uninterrupted(settle(), name=f"settle {run_id}")
            if afterwards is not None:
                task = asyncio.current_task()
                # A shutdown that came meanwhile does not wait for it.
                is_stopping = task is not None and task.cancelling() > 0
                await (afterwards.leave() if is_stopping else afterwards.complete())
            attempt.checkpoint_state.stop()

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
            return Attempt(
                run=run,
                definition=await definition_of(self.ledger.context, self.catalog, run),
                progress=Progress(model=run.ai_model, prior_usage=PriorUsage.of_run(run)),
            )
        except OpsError as error:
            # The definition was removed while the run waited.
            message, analysis = error.user_message, FailureAnalysis.of_error(error)
        except Exception:
            log.exception(
                "%s could not be begun", run.run_id, extra=log_fields("attempt.begin_failed", run)
            )
            message, analysis = unexpected_error(run).user_message, None
        await retry_while_unavailable(
            lambda: self.ledger.end_anyhow(run, StopReason.SETUP_ERROR, message, analysis=analysis)
        )
        return None

    async def _recover_lost_begin(self, job: Job) -> Run | None:
        """Find out why a run could not begin; return it if it did begin, here and just now.

        That happens if the answer of the database was lost.  Otherwise the run was killed
        meanwhile, or another attempt has taken over.
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
            # It was killed while waiting for a further attempt; end what an earlier one left.
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
        """Wait until the work ends, or has to be stopped.

        Returns:
            Whether it has to be stopped; the cause of the attempt says why.
        """
        stop, name = attempt.stop, f"why {attempt.run.run_id}"
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Cancelled during `_begin`, which was completed all the same.
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
            # Cancelled by the shutdown of the whole process, not by this class.
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
            `True`: the attempt has to be stopped.
        """
        cause = Cause.HANDOVER
        try:
            run = await retry_while_unavailable(
                lambda: self.ledger.read_run(attempt.run.run_id), patience=_CAUSE_PATIENCE
            )
        except Exception as error:
            # The handover reads it again.
            log.warning(
                "%s: why it stops cannot be read: %s",
                attempt.run.run_id,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("stop_cause.read_failed", attempt.run),
            )
        else:
            if run.attempt != attempt.run.attempt:
                # A newer attempt has the run; requests about it are for its worker.
                cause = Cause.FENCED
            elif run.kill_requested_at is not None:
                cause = Cause.KILL
        attempt.stop.cause = attempt.stop.cause or cause
        return True

    async def _write(self, attempt: Attempt, work: WorkTask) -> None:
        """Write new progress, at most once a second, until the work ends.

        What cannot be written is written again, at the latest with the end of the attempt.
        """
        pauses = _WRITE_BACKOFF.pauses()
        while not work.done():
            await attempt.has_changes.wait()
            attempt.has_changes.clear()
            pause = _WRITE_EVERY.total_seconds()
            try:
                await self.ledger.write_progress(attempt)
                pauses = _WRITE_BACKOFF.pauses()
            except Unavailable:
                attempt.has_changes.set()
            except (StaleAttempt, IllegalTransition):
                _fence(attempt)
                return
            except Exception:
                # The agent works on: its progress is kept, and it can still be stopped.
                attempt.has_changes.set()
                pause = next(pauses)
                log.exception(
                    "%s: its progress cannot be written, next try in %.0f s",
                    attempt.run.run_id,
                    pause,
                    extra=log_fields("progress.write_delayed", attempt.run, retry_seconds=pause),
                )
                if await self._is_superseded(attempt):
                    _fence(attempt)
                    return
            await asyncio.sleep(pause)

    async def _is_superseded(self, attempt: Attempt) -> bool:
        """Whether the run was taken from this worker, as far as the database says so now."""
        with suppress(Exception):  # The next try to write asks again.
            present = await self.ledger.read_run(attempt.run.run_id)
            is_present = present.attempt == attempt.run.attempt
            return not (is_present and present.status is RunStatus.RUNNING)
        return False

    async def _stop(self, attempt: Attempt, work: WorkTask) -> Stopped:
        """End all processes of the attempt and record the proof."""
        ending = AttemptEnding(self.ledger, attempt)
        if attempt.opened.agent is None:
            # The agent may be starting.  End what runs already, then cancel the start, and check
            # once more below, so that no process started in between survives.
            await ending.run_ladder()
            work.cancel()
            await asyncio.wait({work}, timeout=_STREAM_END_LIMIT.total_seconds())
        stopped = await ending.run_ladder()
        await asyncio.wait({work}, timeout=_STREAM_END_LIMIT.total_seconds())
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
        stopped = await ending.save_for_handover(stopped, self.workspaces)
        return await ending.record_proof(stopped)


def _fence(attempt: Attempt) -> None:
    """Stop an attempt whose run another worker has."""
    log.warning(
        "%s was reassigned; its agent here is stopped",
        attempt.run.run_id,
        extra=log_fields("attempt.fenced", attempt.run),
    )
    attempt.stop.fence()
