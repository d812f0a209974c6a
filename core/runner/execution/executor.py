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
from core.runner.execution.attempt import Cause, Leg
from core.runner.execution.carry import Carrier
from core.runner.execution.ending import Ending
from core.runner.execution.ledger import Ledger, Past, state_dir_of
from core.runner.execution.outcome import os_failure, outcome_of, prompt_of, unexpected
from core.runner.execution.prior_usage import Spent, budget_left, turns_left
from core.runner.execution.progress import Progress
from core.runner.execution.workspace import take_place
from core.runner.recovery.interrupted_kills import Kills
from core.runner.shielded import AS_LONG_AS_IT_TAKES, uninterrupted, until_written
from core.runner.worker.lease import Lease
from core.store.sessions.transcripts import Transcripts
from core.workspace.errors import WorkspaceError
from core.workspace.source import BadRepository
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# At most two writes a second for a run, however fast its agent is.
_WRITE_EVERY = timedelta(milliseconds=500)
# After the tree is gone, for the stream's last words to be read.
_LAST_WORDS = timedelta(seconds=3)
_DIFF_LIMIT = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Executes the jobs of one worker.

    Attributes:
        home: Where the agents' own homes are kept, one for each attempt.
        credentials: The agent's, from the environment; never stored.
        site: Marks the processes of this installation, for sweeps.
        lease: Knows what is in hand; the heartbeat renews it.
        critical: Which tool calls a kill lets come to their end.
    """

    ledger: Ledger
    catalog: Catalog
    workspaces: Workspaces
    kills: Kills
    transcripts: Transcripts
    lease: Lease
    home: Path
    credentials: Mapping[str, str]
    site: str
    program: Path | None = None
    critical: CriticalRules = DEFAULT_RULES

    @property
    def _carrier(self) -> Carrier:
        return Carrier(self.ledger, self.workspaces)

    async def __call__(self, job: Job) -> None:
        """Execute the job's attempt of its run, if it is still to be executed.

        Being cancelled means to end: killed if the row says so, else handed over.
        """
        leg = await uninterrupted(self._begin(job), name=f"begin {job.run_id}")
        if leg is None:
            return
        with self.lease.holding(leg):
            await self._execute(leg)

    async def _execute(self, leg: Leg) -> None:
        run_id = leg.run.run_id
        work = asyncio.create_task(self._work(leg), name=f"work {run_id}")
        writing = asyncio.create_task(self._write(leg, work), name=f"write {run_id}")
        try:
            leg.cause = await self._wait(leg, work)
            if leg.cause is not None:
                await uninterrupted(self._stop(leg, work), name=f"stop {run_id}")
        finally:
            await uninterrupted(self._settle(leg, work, writing), name=f"settle {run_id}")

    async def _begin(self, job: Job) -> Leg | None:
        run = await until_written(
            lambda: self.ledger.begin(job.run_id, job.attempt, job_id=job.job_id),
            patience=AS_LONG_AS_IT_TAKES,
        )
        if run is None:
            run = await self._begun_unheard(job)
        if run is None:
            return None
        try:
            definition = self.catalog.get(run.workflow_name)
        except OpsError as error:
            # Its definition was removed while it waited.
            message = error.user_message
            await until_written(lambda: self.ledger.fail(run, StopReason.SETUP_ERROR, message))
            return None
        return Leg(
            run=run,
            definition=definition,
            progress=Progress(model=run.ai_model, before=Spent.by(run)),
            began_at=self.ledger.work.clock(),
        )

    async def _begun_unheard(self, job: Job) -> Run | None:
        """A job whose run cannot begin: killed meanwhile, or taken over by another attempt.

        Or it has begun already, here and just now, and the answer to that was lost.
        """
        run = await until_written(
            lambda: self.ledger.look(job.run_id), patience=AS_LONG_AS_IT_TAKES
        )
        is_this = run.attempt == job.attempt and run.job_id == job.job_id
        is_ours = is_this and run.worker_id == self.ledger.worker_id
        if is_ours and run.status is RunStatus.RUNNING and not self.lease.holds(run):
            log.warning("%s had begun; the answer was lost", job.run_id)
            return run
        is_wanted = run.status is RunStatus.PENDING and run.attempt == job.attempt
        if is_wanted and run.kill_requested_at is not None:
            # It waited as a later attempt; what an earlier one left is ended first.
            with suppress(Conflict):  # Somebody else has just finished it.
                await until_written(lambda: self.kills.conclude(run, job_in_hand=True))
        log.info("%s attempt %s is not to be executed (%s)", job.run_id, job.attempt, run.status)
        return None

    async def _wait(self, leg: Leg, work: asyncio.Task[None]) -> Cause | None:
        """Wait for the work's end; the cause if it has to be ended first."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Called off while the run began, which went on to its end all the same.
            return await uninterrupted(self._why(leg), name=f"why {leg.run.run_id}")
        try:
            done, _ = await asyncio.wait({work}, timeout=leg.timeout.total_seconds())
        except asyncio.CancelledError:
            return await uninterrupted(self._why(leg), name=f"why {leg.run.run_id}")
        if work.cancelled() and leg.cause is None:
            # Not by us: the whole process is being torn down, and has left this behind.
            return await uninterrupted(self._why(leg), name=f"why {leg.run.run_id}")
        if done:
            return leg.cause
        return Cause.TIMEOUT

    async def _why(self, leg: Leg) -> Cause:
        """What a cancellation means: the row knows, the exception does not."""
        try:
            run = await until_written(
                lambda: self.ledger.look(leg.run.run_id), patience=timedelta(seconds=3)
            )
        except Unavailable:
            return Cause.HANDOVER
        if run.attempt != leg.run.attempt:
            # Whatever is wished of it is another worker's to do.
            return Cause.FENCED
        return Cause.KILL if run.kill_requested_at is not None else Cause.HANDOVER

    async def _work(self, leg: Leg) -> None:
        """Prepare the workspace and let the agent work to its end."""
        try:
            past = await until_written(lambda: self.ledger.past(leg.run))
            leg.progress.plan, leg.progress.steps = past.plan, past.steps
            await self._prepare(leg, past)
            if leg.cause is None:
                await self._converse(leg, past)
        except (WorkspaceError, BadRepository) as error:
            log.warning("%s: %s", leg.run.run_id, error)
            leg.failure = StopReason.WORKSPACE_ERROR, error
        except AgentFailed as error:
            leg.failure = StopReason.AGENT_ERROR, error
        except OpsError as error:
            leg.failure = StopReason.SETUP_ERROR, error
        except OSError as error:
            log.exception("%s failed", leg.run.run_id)
            leg.failure = os_failure(error)
        except Exception:
            log.exception("%s failed", leg.run.run_id)
            leg.failure = StopReason.SETUP_ERROR, unexpected(leg.run)

    async def _prepare(self, leg: Leg, past: Past) -> None:
        run = leg.run
        if run.attempt > 1:
            # What an earlier attempt left running here must not work beside this one.
            await end_tree(cookie=run.run_id, root=None)
        workspace = await take_place(
            leg, past.branch, ledger=self.ledger, workspaces=self.workspaces
        )
        leg.workspace = workspace
        leg.base_commit = await self.workspaces.head(workspace)
        await until_written(lambda: self.ledger.workspace_ready(leg))
        leg.progress.note(
            EventKind.WORKSPACE_READY, self.ledger.work.clock(), commit=leg.base_commit
        )
        await until_written(lambda: self._carrier.begin(leg))

    async def _converse(self, leg: Leg, past: Past) -> None:
        run, workspace = leg.run, leg.workspace
        if workspace is None:
            raise RuntimeError("no workspace to work in")
        leg.state_dir = state_dir_of(self.home, run)
        launch = Launch(
            run_id=run.run_id,
            attempt=run.attempt,
            session_id=run.session_id,
            resume=past.has_transcript,
            prompt=prompt_of(run, past),
            prompt_uuid=leg.prompt_uuid,
            definition=leg.definition,
            model=run.ai_model,
            max_turns=turns_left(run, leg.definition.max_turns),
            budget_usd=budget_left(run),
            cwd=workspace.path,
            state_dir=leg.state_dir,
            credentials=self.credentials,
            plan=past.plan,
            site=self.site,
            program=self.program,
            critical=self.critical,
        )
        transcripts = self.transcripts.of_attempt(run.run_id, run.attempt)
        async with open_agent(launch, transcripts) as agent:
            leg.agent = agent
            # What it says is heard whether or not the database takes this just now.
            noting = asyncio.create_task(
                until_written(lambda: self.ledger.agent_ready(leg, agent.root)),
                name=f"note agent {run.run_id}",
            )
            try:
                async with self._carrier.following(leg):
                    async for event in agent.events():
                        leg.progress.take(event, at=self.ledger.work.clock())
                        leg.changed.set()
                        if isinstance(event, ToolFinished):
                            leg.kept.look.set()
                await noting
            finally:
                noting.cancel()
                await asyncio.gather(noting, return_exceptions=True)

    async def _write(self, leg: Leg, work: asyncio.Task[None]) -> None:
        """Write the growing account, at most twice a second, until the work is over."""
        while not work.done():
            await leg.changed.wait()
            leg.changed.clear()
            try:
                await self.ledger.progress(leg)
            except Unavailable:
                leg.changed.set()
            except (StaleAttempt, IllegalTransition):
                log.warning("%s was taken over; its agent here is ended", leg.run.run_id)
                leg.cause = Cause.FENCED
                await self._stop(leg, work)
                return
            await asyncio.sleep(_WRITE_EVERY.total_seconds())

    async def _stop(self, leg: Leg, work: asyncio.Task[None]) -> None:
        """End what runs, by the ladder; afterwards nothing of the leg runs."""
        ending = Ending(self.ledger, leg)
        if leg.agent is None:
            # It may be starting: what is there is ended with its phases written; what was on its
            # way is called off, and nothing starts behind the ladder's back.
            await ending.climb()
            work.cancel()
            await asyncio.wait({work}, timeout=_LAST_WORDS.total_seconds())
        await ending.climb()
        await asyncio.wait({work}, timeout=_LAST_WORDS.total_seconds())
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
        if leg.workspace is not None and leg.cause is not Cause.FENCED:
            await ending.save_work(self.workspaces)
        await ending.clear(self.kills.clearing)
        await ending.conclude()

    async def _settle(
        self, leg: Leg, work: asyncio.Task[None], writing: asyncio.Task[None]
    ) -> None:
        """Record the end, and clear away what the leg needed."""
        writing.cancel()
        await asyncio.wait({work, writing})
        try:
            if leg.cause is not Cause.FENCED and not await self._handed_over(leg):
                await self._finish(leg)
                await self._close_kill(leg)
                # Of a kill, which does not wait for it.
                await self._carrier.close(leg)
        except (StaleAttempt, IllegalTransition) as error:
            log.warning("%s: its end is no longer ours to write: %s", leg.run.run_id, error)
        finally:
            if leg.state_dir is not None:
                await asyncio.to_thread(shutil.rmtree, leg.state_dir, ignore_errors=True)

    async def _handed_over(self, leg: Leg) -> bool:
        """Give a leg that is to be handed over back to the queue, unless it was killed."""
        if leg.cause is not Cause.HANDOVER:
            return False
        await self._carrier.close(leg)
        present = await until_written(
            lambda: self.ledger.look(leg.run.run_id), patience=AS_LONG_AS_IT_TAKES
        )
        if present.attempt != leg.run.attempt:
            raise StaleAttempt(leg.run.run_id, leg.run.attempt)
        if present.kill_requested_at is None:
            await until_written(
                lambda: self.ledger.hand_back(leg, why="its worker was shut down"),
                patience=AS_LONG_AS_IT_TAKES,
            )
            return True
        leg.cause = Cause.KILL
        await Ending(self.ledger, leg).conclude()
        return False

    async def _finish(self, leg: Leg) -> None:
        await self._measure(leg)
        if leg.cause is not Cause.KILL:
            await self._carrier.close(leg)
        outcome = outcome_of(leg)
        try:
            await until_written(
                lambda: self.ledger.finish(leg, outcome), patience=AS_LONG_AS_IT_TAKES
            )
        except (StaleAttempt, IllegalTransition, Unavailable):
            raise
        except Exception:
            # Nothing may stay `running` because of what its account holds.
            log.exception("%s: its account could not be written", leg.run.run_id)
            await until_written(
                lambda: self.ledger.fail(
                    leg.run, outcome.stop_reason, unexpected(leg.run).user_message
                ),
                patience=AS_LONG_AS_IT_TAKES,
            )
        log.info("%s ended: %s", leg.run.run_id, outcome.stop_reason)

    async def _close_kill(self, leg: Leg) -> None:
        """Conclude a kill that came while the run was ending by itself."""
        left = await until_written(
            lambda: self.ledger.open_termination(leg.run), patience=AS_LONG_AS_IT_TAKES
        )
        if left is None:
            return
        proof = await end_tree(cookie=leg.run.run_id, root=None)
        phase = Phase.CONFIRMED if proof.is_confirmed else Phase.UNCONFIRMED
        await until_written(
            lambda: self.ledger.phase(leg.run, left, phase, proof), patience=AS_LONG_AS_IT_TAKES
        )

    async def _measure(self, leg: Leg) -> None:
        """See what changed.  A run whose diff cannot be taken has none; it ends all the same."""
        if leg.workspace is None:
            return
        try:
            async with asyncio.timeout(_DIFF_LIMIT.total_seconds()):
                leg.final_commit = await self.workspaces.head(leg.workspace)
                leg.diff = await self.workspaces.diff(leg.workspace, leg.run.initial_commit_hash)
        except (WorkspaceError, TimeoutError) as error:
            log.warning("%s: no diff: %s", leg.run.run_id, error)
