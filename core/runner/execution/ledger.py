"""What an execution writes: each method one transaction, fenced by the attempt."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.outcome import Outcome
from core.agent.steps import plan_of
from core.domain.fleet.attempt import RunProcess, node_of
from core.domain.kills.termination import ProcessIdentity
from core.domain.runs.event import EventKind, EventRecord, PlanItem
from core.domain.runs.run import IllegalTransition, Run, StaleAttempt, StopReason
from core.domain.runs.session import Message, MessageRole, MessageType
from core.domain.runs.step import Step
from core.runner.execution.attempt import Leg, prompt_uuid_of
from core.runner.execution.closing import close_attempt
from core.runner.execution.kill_ledger import KillLedger
from core.runner.execution.recount import recount
from core.runner.recovery.lost_worker import Lost
from core.services.admission import admit
from core.services.dispatch import hand_over
from core.store import events, steps
from core.store.database.engine import Unstorable
from core.store.fleet import attempts
from core.store.runs import runs
from core.store.sessions import messages, sessions, transcripts

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Past:
    """What the session had before this leg.

    Attributes:
        first_task: What its first leg was asked.
        has_heard: Whether an earlier attempt of this run has told the agent what was asked.
        steps: Of this run's earlier attempts.
        plan: The task list as the last leg left it.
        branch: Where a workspace that has to be made begins; not the branch of the work.
    """

    first_task: str
    has_transcript: bool
    plan: tuple[PlanItem, ...]
    branch: str | None
    has_heard: bool = False
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Ledger(KillLedger):
    """The rows of executions on one worker."""

    async def begin(self, run_id: str, attempt: int, *, job_id: int | None = None) -> Run | None:
        """Take a pending run, under this job; `None` if it is no longer to be had."""
        now = self.work.clock()
        async with self.work.transaction() as session:
            try:
                run = await runs.begin(
                    session,
                    run_id,
                    attempt=attempt,
                    worker_id=self.worker_id,
                    now=now,
                    job_id=job_id,
                )
            except (IllegalTransition, StaleAttempt):
                return None
            await attempts.start(
                session,
                RunProcess(
                    id=uuid4(),
                    run_id=run.id,
                    attempt=attempt,
                    worker_id=self.worker_id,
                    host=self.host,
                    started_at=now,
                    heartbeat_at=now,
                ),
            )
            await events.append(
                session,
                run.id,
                attempt,
                [EventRecord(kind=EventKind.RUN_STARTED, at=now, data={"worker": self.worker_id})],
            )
            return run

    async def look(self, run_id: str) -> Run:
        """The run as it stands."""
        async with self.work.transaction() as session:
            return await runs.get(session, run_id)

    async def past(self, run: Run) -> Past:
        """What the session brings along."""
        async with self.work.transaction() as session:
            legs = await runs.legs_of_session(session, run.session_id)
            before = [leg for leg in legs if leg.created_at <= run.created_at]
            plan: tuple[PlanItem, ...] = ()
            for leg in reversed(before):
                found = await steps.of_run(session, leg.id)
                if found:
                    plan = plan_of(found)
                    break
            conversation = await sessions.get(session, run.session_id)
            return Past(
                first_task=before[0].task_input if before else run.task_input,
                has_transcript=await transcripts.exists(session, run.session_id),
                has_heard=await transcripts.holds(
                    session,
                    run.session_id,
                    [prompt_uuid_of(run, attempt) for attempt in range(1, run.attempt)],
                ),
                plan=plan,
                # Once it was prepared, the row names the branch that the work is done on.
                branch=conversation.git_branch if run.workspace_path else run.git_branch,
                steps=tuple(await steps.of_run(session, run.id)),
            )

    async def workspace_ready(self, leg: Leg) -> None:
        """Record where the work is done and from which commit it starts."""
        workspace = leg.workspace
        if workspace is None:
            raise RuntimeError("no workspace to record")
        async with self.work.transaction() as session:
            run = await runs.change(
                session,
                leg.run.run_id,
                now=self.work.clock(),
                attempt=leg.run.attempt,
                workspace_id=workspace.id,
                workspace_path=str(workspace.path),
                git_branch=workspace.branch,
                git_repo=workspace.repo,
                initial_commit_hash=await _start_of(session, leg),
            )
            await sessions.change(
                session,
                run.session_id,
                workspace_id=workspace.id,
                workspace_node=node_of(self.worker_id),
            )
        leg.run = run

    async def agent_ready(self, leg: Leg, agent: ProcessIdentity) -> None:
        """Record the agent's process."""
        async with self.work.transaction() as session:
            await attempts.set_agent(session, leg.run.id, leg.run.attempt, agent)

    async def progress(self, leg: Leg) -> None:
        """Write what is new of a leg.  What cannot be written is kept for the next time.

        Raises:
            StaleAttempt: If the run was given to another worker meanwhile.
            Unavailable: If the database cannot be reached.
        """
        records = leg.progress.drain()
        try:
            async with self.work.transaction() as session:
                leg.run = await runs.change(
                    session,
                    leg.run.run_id,
                    now=self.work.clock(),
                    attempt=leg.run.attempt,
                    **leg.progress.columns(),
                )
                await steps.replace(session, leg.run.id, leg.progress.steps)
                await events.append(session, leg.run.id, leg.run.attempt, records)
        except BaseException:
            leg.progress.put_back(records)
            raise

    async def finish(self, leg: Leg, outcome: Outcome) -> Run:
        """Write the end of a run: last figures, result, diff, events, all or nothing."""
        now = self.work.clock()
        stop_reason, result = outcome.stop_reason, outcome.result
        leg.progress.close(succeeded=stop_reason is StopReason.SUCCESS, error=outcome.error, at=now)
        records = leg.progress.drain()
        run = leg.run
        final = dict(leg.progress.columns())
        if leg.diff is not None:
            final["diff"] = leg.diff
            final["final_commit_hash"] = leg.final_commit
        if stop_reason is StopReason.MAX_TURNS and run.max_turns is not None:
            # The program counts the turn it refused to take.
            final["turns"] = min(leg.progress.turns, run.max_turns)
        try:
            async with self.work.transaction() as session:
                await steps.replace(session, run.id, leg.progress.steps)
                await events.append(
                    session,
                    run.id,
                    run.attempt,
                    [
                        *records,
                        EventRecord(
                            kind=EventKind.RUN_ENDED, at=now, data={"stop_reason": stop_reason}
                        ),
                    ],
                )
                await attempts.end(session, run.id, run.attempt, now=now)
                if result:
                    await messages.add(session, _result_message(run, result, now))
                found = _findings(leg, outcome)
                if found:
                    await runs.merge_metadata(session, run.run_id, found, now=now)
                ended = await runs.finish(
                    session,
                    run.run_id,
                    attempt=run.attempt,
                    stop_reason=stop_reason,
                    now=now,
                    result=result,
                    error_message=outcome.error,
                    **final,
                )
                if leg.progress.result is None:
                    ended = await recount(session, run, now=now)
                await admit(session, now=now)
                return ended
        except BaseException:
            leg.progress.put_back(records)
            raise

    async def fail(
        self, run: Run, stop_reason: StopReason, message: str, *, lost: Lost | None = None
    ) -> Run:
        """Write the bare end of a run: status, reason and one line for the person."""
        now = self.work.clock()
        told = [EventRecord(kind=EventKind.RUN_ENDED, at=now, data={"stop_reason": stop_reason})]
        if lost is not None:
            told.insert(0, lost.record(now, resumes=False))
        async with self.work.transaction() as session:
            await events.append(session, run.id, run.attempt, told)
            await close_attempt(session, run, now=now, error=message)
            ended = await runs.finish(
                session,
                run.run_id,
                attempt=run.attempt,
                stop_reason=stop_reason,
                now=now,
                error_message=message,
            )
            await admit(session, now=now)
            return ended

    async def hand_back(self, leg: Leg, *, why: str) -> Run:
        """Give a leg of this worker back to the queue, with all that is known of it."""
        try:
            await self.progress(leg)
        except Unstorable:
            log.exception("%s: its last account could not be written", leg.run.run_id)
        return await self.requeue(leg.run, why=why)

    async def requeue(self, run: Run, *, why: str, lost: Lost | None = None) -> Run:
        """Give a running run back to the queue as its next attempt."""
        now = self.work.clock()
        told = [] if lost is None else [lost.record(now, resumes=True)]
        requeued = EventRecord(
            kind=EventKind.RUN_REQUEUED, at=now, data={"why": why, "lost": lost is not None}
        )
        async with self.work.transaction() as session:
            await attempts.end(session, run.id, run.attempt, now=now)
            await recount(session, run, now=now)
            again = await runs.requeue(session, run.run_id, attempt=run.attempt, now=now)
            await events.append(session, run.id, again.attempt, [*told, requeued])
            await admit(session, now=now)
            return await runs.get(session, again.run_id)

    async def enqueue_again(self, run: Run) -> None:
        """Give a pending run a new job, for one that was lost."""
        now = self.work.clock()
        async with self.work.transaction() as session:
            await hand_over(session, run, now=now)


async def _start_of(session: AsyncSession, leg: Leg) -> str | None:
    """The commit at which the run began; an earlier attempt can have begun before the first."""
    known = leg.run.initial_commit_hash
    if known is None and leg.run.attempt > 1:
        ready = await events.of_run(
            session, leg.run.id, kinds=(EventKind.WORKSPACE_READY,), limit=1
        )
        return None if ready else leg.base_commit
    return known or leg.base_commit


def state_dir_of(home: Path, run: Run) -> Path:
    """Where the agent of this attempt has its home: fresh for each attempt."""
    return home / "agents" / f"{run.run_id}-{run.attempt}"


def _findings(leg: Leg, outcome: Outcome) -> dict[str, Any]:
    """What is known beside the columns; only what was seen."""
    found: dict[str, Any] = {}
    if leg.progress.tests is not None:
        found["tests"] = asdict(leg.progress.tests)
    if outcome.resets_at is not None:
        found["usage_limit_resets_at"] = outcome.resets_at.isoformat()
    return found


def _result_message(run: Run, result: str, now: datetime) -> Message:
    return Message(
        id=uuid4(),
        session_id=run.session_id,
        role=MessageRole.ASSISTANT,
        message_type=MessageType.RESULT,
        text_content=result,
        created_at=now,
        run_id=run.id,
    )
