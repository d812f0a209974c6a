"""Execute one run: workspace, agent, result; and its end when it is ended from outside."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from core.agent.critical import DEFAULT_RULES, CriticalRules
from core.agent.definitions.catalog import Catalog
from core.agent.process.ladder import end_tree
from core.agent.protocol import AgentFailed, Launch
from core.agent.session import open_agent
from core.domain.errors import Conflict, OpsError, Unavailable
from core.domain.kills.termination import Phase
from core.domain.runs.event import EventKind, ToolFinished
from core.domain.runs.run import IllegalTransition, Run, RunStatus, StaleAttempt, StopReason
from core.queue.jobs import Job
from core.runner.execution.attempt import Attempt, Cause
from core.runner.execution.carry import Carrier
from core.runner.execution.ending import AttemptEnding
from core.runner.execution.ledger import Ledger, SessionHistory, state_dir_of
from core.runner.execution.outcome import os_failure, outcome_of, prompt_of, unexpected_error
from core.runner.execution.prior_usage import PriorUsage, budget_left, turns_left
from core.runner.execution.progress import Progress
from core.runner.execution.workspace import ensure_workspace
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable, run_uninterrupted
from core.runner.worker.lease import Lease
from core.store.sessions.transcripts import Transcripts
from core.workspace.errors import WorkspaceError
from core.workspace.source import BadRepository
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# At most two writes a second for a run, however fast its agent is.
_WRITE_EVERY = timedelta(milliseconds=500)
# After the tree is gone, for the stream's last words to be read.
_STREAM_END_LIMIT = timedelta(seconds=3)
_DIFF_LIMIT = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Executes the jobs of one worker.

    Attributes:
        home: Where the agents' own homes are kept, one for each attempt.
        credentials: The agent's, from the environment; never stored.
        installation_id: Marks the processes of this installation, for sweeps.
        lease: Knows what is in hand; the heartbeat renews it.
        critical: Which tool calls a kill lets come to their end.
    """

    ledger: Ledger
    catalog: Catalog
    workspaces: Workspaces
    kills: InterruptedKills
    transcripts: Transcripts
    lease: Lease
    home: Path
    credentials: Mapping[str, str]
    installation_id: str
    program: Path | None = None
    critical: CriticalRules = DEFAULT_RULES

    @property
    def _carrier(self) -> Carrier:
        return Carrier(self.ledger, self.workspaces)

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
        work = asyncio.create_task(self._run_work(attempt), name=f"work {run_id}")
        writer = asyncio.create_task(self._write(attempt, work), name=f"write {run_id}")
        try:
            attempt.cause = await self._wait(attempt, work)
            if attempt.cause is not None:
                await run_uninterrupted(self._stop(attempt, work), name=f"stop {run_id}")
        finally:
            await run_uninterrupted(self._settle(attempt, work, writer), name=f"settle {run_id}")

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
            began_at=self.ledger.context.clock(),
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
            log.warning("%s had begun; the answer was lost", job.run_id)
            return run
        is_still_pending = run.status is RunStatus.PENDING and run.attempt == job.attempt
        if is_still_pending and run.kill_requested_at is not None:
            # It waited as a later attempt; what an earlier one left is ended first.
            with suppress(Conflict):  # Somebody else has just finished it.
                await retry_while_unavailable(lambda: self.kills.finish_kill(run, is_job_held=True))
        log.info("%s attempt %s is not to be executed (%s)", job.run_id, job.attempt, run.status)
        return None

    async def _wait(self, attempt: Attempt, work: asyncio.Task[None]) -> Cause | None:
        """Wait for the work's end; the cause if it has to be ended first."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Called off while the run began, which went on to its end all the same.
            return await run_uninterrupted(
                self._cause_of_cancellation(attempt), name=f"why {attempt.run.run_id}"
            )
        try:
            done, _ = await asyncio.wait({work}, timeout=attempt.timeout.total_seconds())
        except asyncio.CancelledError:
            return await run_uninterrupted(
                self._cause_of_cancellation(attempt), name=f"why {attempt.run.run_id}"
            )
        if work.cancelled() and attempt.cause is None:
            # Not by us: the whole process is being torn down, and has left this behind.
            return await run_uninterrupted(
                self._cause_of_cancellation(attempt), name=f"why {attempt.run.run_id}"
            )
        if done:
            return attempt.cause
        return Cause.TIMEOUT

    async def _cause_of_cancellation(self, attempt: Attempt) -> Cause:
        """What a cancellation means: the row knows, the exception does not."""
        try:
            run = await retry_while_unavailable(
                lambda: self.ledger.read_run(attempt.run.run_id), patience=timedelta(seconds=3)
            )
        except Unavailable:
            return Cause.HANDOVER
        if run.attempt != attempt.run.attempt:
            # Whatever is wished of it is another worker's to do.
            return Cause.FENCED
        return Cause.KILL if run.kill_requested_at is not None else Cause.HANDOVER

    async def _run_work(self, attempt: Attempt) -> None:
        """Prepare the workspace and let the agent work to its end."""
        try:
            history = await retry_while_unavailable(lambda: self.ledger.history(attempt.run))
            attempt.progress.plan, attempt.progress.steps = history.plan, history.steps
            await self._prepare(attempt, history)
            if attempt.cause is None:
                await self._run_agent(attempt, history)
        except (WorkspaceError, BadRepository) as error:
            log.warning("%s: %s", attempt.run.run_id, error)
            attempt.failure = StopReason.WORKSPACE_ERROR, error
        except AgentFailed as error:
            attempt.failure = StopReason.AGENT_ERROR, error
        except OpsError as error:
            attempt.failure = StopReason.SETUP_ERROR, error
        except OSError as error:
            log.exception("%s failed", attempt.run.run_id)
            attempt.failure = os_failure(error)
        except Exception:
            log.exception("%s failed", attempt.run.run_id)
            attempt.failure = StopReason.SETUP_ERROR, unexpected_error(attempt.run)

    async def _prepare(self, attempt: Attempt, history: SessionHistory) -> None:
        run = attempt.run
        if run.attempt > 1:
            # What an earlier attempt left running here must not work beside this one.
            await end_tree(run_marker=run.run_id, root=None)
        workspace = await ensure_workspace(
            attempt, history.branch, ledger=self.ledger, workspaces=self.workspaces
        )
        attempt.workspace = workspace
        attempt.base_commit = await self.workspaces.head(workspace)
        await retry_while_unavailable(lambda: self.ledger.record_workspace(attempt))
        attempt.progress.add_record(
            EventKind.WORKSPACE_READY, self.ledger.context.clock(), commit=attempt.base_commit
        )
        await retry_while_unavailable(lambda: self._carrier.load_carry_state(attempt))

    async def _run_agent(self, attempt: Attempt, history: SessionHistory) -> None:
        run, workspace = attempt.run, attempt.workspace
        if workspace is None:
            raise RuntimeError("no workspace to work in")
        attempt.state_dir = state_dir_of(self.home, run)
        launch = Launch(
            run_id=run.run_id,
            attempt=run.attempt,
            session_id=run.session_id,
            resume=history.has_transcript,
            prompt=prompt_of(run, history),
            prompt_uuid=attempt.prompt_uuid,
            definition=attempt.definition,
            model=run.ai_model,
            max_turns=turns_left(run, attempt.definition.max_turns),
            budget_usd=budget_left(run),
            cwd=workspace.path,
            state_dir=attempt.state_dir,
            credentials=self.credentials,
            plan=history.plan,
            installation_id=self.installation_id,
            program=self.program,
            critical=self.critical,
        )
        transcripts = self.transcripts.for_attempt(run.run_id, run.attempt)
        async with open_agent(launch, transcripts) as agent:
            attempt.agent = agent
            # What it says is heard whether or not the database takes this just now.
            recording = asyncio.create_task(
                retry_while_unavailable(lambda: self.ledger.record_agent(attempt, agent.root)),
                name=f"note agent {run.run_id}",
            )
            try:
                async with self._carrier.carrying_commits(attempt):
                    async for event in agent.events():
                        attempt.progress.add_event(event, at=self.ledger.context.clock())
                        attempt.has_changes.set()
                        if isinstance(event, ToolFinished):
                            attempt.carry_state.check_needed.set()
                await recording
            finally:
                recording.cancel()
                await asyncio.gather(recording, return_exceptions=True)

    async def _write(self, attempt: Attempt, work: asyncio.Task[None]) -> None:
        """Write the growing account, at most twice a second, until the work is over."""
        while not work.done():
            await attempt.has_changes.wait()
            attempt.has_changes.clear()
            try:
                await self.ledger.write_progress(attempt)
            except Unavailable:
                attempt.has_changes.set()
            except (StaleAttempt, IllegalTransition):
                log.warning("%s was taken over; its agent here is ended", attempt.run.run_id)
                attempt.cause = Cause.FENCED
                await self._stop(attempt, work)
                return
            await asyncio.sleep(_WRITE_EVERY.total_seconds())

    async def _stop(self, attempt: Attempt, work: asyncio.Task[None]) -> None:
        """End what runs, by the ladder; afterwards nothing of the leg runs."""
        ending = AttemptEnding(self.ledger, attempt)
        if attempt.agent is None:
            # It may be starting: what is there is ended with its phases written; what was on its
            # way is called off, and nothing starts behind the ladder's back.
            await ending.run_ladder()
            work.cancel()
            await asyncio.wait({work}, timeout=_STREAM_END_LIMIT.total_seconds())
        await ending.run_ladder()
        await asyncio.wait({work}, timeout=_STREAM_END_LIMIT.total_seconds())
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
        if attempt.workspace is not None and attempt.cause is not Cause.FENCED:
            await ending.save_work(self.workspaces)
        await ending.clean_up(self.kills.cleaner)
        await ending.record_proof()

    async def _settle(
        self, attempt: Attempt, work: asyncio.Task[None], writer: asyncio.Task[None]
    ) -> None:
        """Record the end, and clear away what the leg needed."""
        writer.cancel()
        await asyncio.wait({work, writer})
        try:
            if attempt.cause is not Cause.FENCED and not await self._hand_over_unless_killed(
                attempt
            ):
                await self._finish(attempt)
                await self._finish_late_kill(attempt)
                # Of a kill, which does not wait for it.
                await self._carrier.carry_remaining(attempt)
        except (StaleAttempt, IllegalTransition) as error:
            log.warning("%s: its end is no longer ours to write: %s", attempt.run.run_id, error)
        finally:
            if attempt.state_dir is not None:
                await asyncio.to_thread(shutil.rmtree, attempt.state_dir, ignore_errors=True)

    async def _hand_over_unless_killed(self, attempt: Attempt) -> bool:
        """Give a leg that is to be handed over back to the queue, unless it was killed."""
        if attempt.cause is not Cause.HANDOVER:
            return False
        await self._carrier.carry_remaining(attempt)
        present = await retry_while_unavailable(
            lambda: self.ledger.read_run(attempt.run.run_id), patience=UNLIMITED_PATIENCE
        )
        if present.attempt != attempt.run.attempt:
            raise StaleAttempt(attempt.run.run_id, attempt.run.attempt)
        if present.kill_requested_at is None:
            await retry_while_unavailable(
                lambda: self.ledger.hand_back(attempt, reason="its worker was shut down"),
                patience=UNLIMITED_PATIENCE,
            )
            return True
        attempt.cause = Cause.KILL
        await AttemptEnding(self.ledger, attempt).record_proof()
        return False

    async def _finish(self, attempt: Attempt) -> None:
        await self._read_diff(attempt)
        if attempt.cause is not Cause.KILL:
            await self._carrier.carry_remaining(attempt)
        outcome = outcome_of(attempt)
        try:
            await retry_while_unavailable(
                lambda: self.ledger.finish(attempt, outcome), patience=UNLIMITED_PATIENCE
            )
        except (StaleAttempt, IllegalTransition, Unavailable):
            raise
        except Exception:
            # Nothing may stay `running` because of what its account holds.
            log.exception("%s: its account could not be written", attempt.run.run_id)
            await retry_while_unavailable(
                lambda: self.ledger.fail(
                    attempt.run, outcome.stop_reason, unexpected_error(attempt.run).user_message
                ),
                patience=UNLIMITED_PATIENCE,
            )
        log.info("%s ended: %s", attempt.run.run_id, outcome.stop_reason)

    async def _finish_late_kill(self, attempt: Attempt) -> None:
        """Conclude a kill that came while the run was ending by itself."""
        termination = await retry_while_unavailable(
            lambda: self.ledger.open_termination(attempt.run), patience=UNLIMITED_PATIENCE
        )
        if termination is None:
            return
        proof = await end_tree(run_marker=attempt.run.run_id, root=None)
        phase = Phase.CONFIRMED if proof.is_confirmed else Phase.UNCONFIRMED
        await retry_while_unavailable(
            lambda: self.ledger.record_phase(attempt.run, termination, phase, proof),
            patience=UNLIMITED_PATIENCE,
        )

    async def _read_diff(self, attempt: Attempt) -> None:
        """See what changed.  A run whose diff cannot be taken has none; it ends all the same."""
        if attempt.workspace is None:
            return
        try:
            async with asyncio.timeout(_DIFF_LIMIT.total_seconds()):
                attempt.final_commit = await self.workspaces.head(attempt.workspace)
                attempt.diff = await self.workspaces.diff(
                    attempt.workspace, attempt.run.initial_commit_hash
                )
        except (WorkspaceError, TimeoutError) as error:
            log.warning("%s: no diff: %s", attempt.run.run_id, error)
