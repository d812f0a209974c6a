"""The database writes of an execution; each method is one transaction.

Writes for an attempt that is no longer the run's present one raise `StaleAttempt`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.results.attempt_result import AttemptResult
from core.domain.errors import Unavailable
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.failures.retry_decision import RetryDecision
from core.domain.fleet.attempt import AttemptRecord, disk_id_of_node, node_of
from core.domain.kills.termination import ProcessIdentity
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.errors import IllegalTransition, StaleAttempt
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.failure_analysis import FAILURE_KEY, FailureAnalysis
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.run import Run, StopReason
from core.runner.execution.attempt import Attempt
from core.runner.execution.attempt_result import result_message, run_metadata
from core.runner.execution.closing import close_attempt, recount_if_possible
from core.runner.execution.history import SessionHistory, read_history
from core.runner.execution.judgement import judged_attempt
from core.runner.execution.ledgers.kills import KillLedger
from core.runner.execution.ledgers.progress import write_progress
from core.runner.execution.restarts.definition import keep_definition
from core.runner.execution.usage.entries import record_progress
from core.runner.keeping.keeper import KEEP_LIMIT, KeptWork, record_lasting
from core.runner.log_fields import log_fields
from core.runner.recovery.lost_worker import LostWorker
from core.runner.retrying.auto_legs import continue_if_possible
from core.runner.retrying.failure_facts import failure_without_agent
from core.runner.retrying.records import record_facts, record_failure
from core.services.context import ServiceContext
from core.services.fleet.admission import admit
from core.store import events, steps
from core.store.fleet import attempts, workspaces
from core.store.runs import run_queries, runs, signs_of_life
from core.store.runs.compare_and_set import bump_version
from core.store.sessions import messages, sessions
from core.workspace.workspaces import Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ledger:
    """Reads and writes the rows of executions for one worker."""

    context: ServiceContext
    worker_id: str
    host: str

    @property
    def kills(self) -> KillLedger:
        """The writes of kills for this worker."""
        return KillLedger(self.context, self.worker_id, self.host)

    async def begin(self, run_id: str, attempt: int, *, job_id: int | None = None) -> Run | None:
        """Start an attempt of a pending run, for this job; `None` if it is no longer pending."""
        now = self.context.clock()
        async with self.context.transaction() as session:
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
            await attempts.add(
                session,
                AttemptRecord(
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

    async def read_run(self, run_id: str) -> Run:
        """The present state of a run."""
        async with self.context.transaction() as session:
            return await run_queries.get(session, run_id)

    async def history(self, run: Run) -> SessionHistory:
        """The history of the run's session before this attempt."""
        async with self.context.transaction() as session:
            return await read_history(session, run)

    async def record_workspace(
        self,
        attempt: Attempt,
        workspace: Workspace,
        base_commit: str | None,
        branches: Mapping[str, str],
    ) -> Run:
        """Record the workspace, and the commit and branches that the work starts from.

        Returns:
            The changed run.
        """
        now = self.context.clock()
        attempt.progress.awaiting.wait_for(AwaitedKind.PROGRAM, at=now)
        async with self.context.transaction() as session:
            followed = await keep_definition(session, attempt.definition, now=now)
            run = await runs.change(
                session,
                attempt.run.run_id,
                now=now,
                metadata={**attempt.progress.awaited_metadata, **followed},
                attempt=attempt.run.attempt,
                workspace_id=workspace.id,
                workspace_path=str(workspace.path),
                git_branch=workspace.branch,
                git_repo=workspace.repo,
                initial_commit_hash=await _initial_commit(session, attempt.run, base_commit),
                initial_branches=(
                    branches if attempt.run.attempt == 1 else attempt.run.initial_branches
                ),
            )
            await sessions.change(
                session,
                run.session_id,
                workspace_id=workspace.id,
                workspace_node=node_of(self.worker_id),
            )
            disk_id = disk_id_of_node(node_of(self.worker_id))
            # It may have been removed, and built again for this run.
            await workspaces.set_cleaned_up(
                session, run.session_id, workspace.id, disk_id=disk_id, is_gone=False
            )
            await workspaces.report(
                session, disk_id, workspace.id,
                session_id=run.session_id, repo=workspace.repo, used_at=now, now=now, is_held=True,
            )  # fmt: skip
            if RestartOrigin.of(run) is not None and run.parent_run_id is not None:
                # By now the new card is there, to which the old one has a link.
                await bump_version(session, run.parent_run_id, now=now)
        return run

    async def record_agent(self, attempt: Attempt, agent: ProcessIdentity) -> None:
        """Record the agent's process."""
        async with self.context.transaction() as session:
            await attempts.set_agent(session, attempt.run.id, attempt.run.attempt, agent)

    async def write_progress(self, attempt: Attempt) -> None:
        """Write the new progress of an attempt; after an error the next call writes it again.

        Nothing is stored twice if the failed write took effect after all.

        Raises:
            StaleAttempt: If the run was given to another worker meanwhile.
            Unavailable: If the database cannot be reached.
        """
        progress = attempt.progress
        if progress.has_new_signs and not progress.is_dirty:
            await self._write_signs(attempt)
            return
        await write_progress(self.context, attempt)

    async def _write_signs(self, attempt: Attempt) -> None:
        """Write signs of life alone: nothing is drawn, and no stream tells of them."""
        progress = attempt.progress
        progress.has_new_signs = False
        try:
            async with self.context.transaction() as session:
                await signs_of_life.record(
                    session,
                    attempt.run.run_id,
                    attempt=attempt.run.attempt,
                    metadata=progress.awaited_metadata,
                )
        except BaseException:
            progress.has_new_signs = True
            raise

    async def finish(
        self,
        attempt: Attempt,
        end: AttemptResult,
        kept: KeptWork | None = None,
        failed: FailedAttempt | None = None,
    ) -> Run:
        """Write the end of a run (usage, result, diff, events), all or nothing.

        Without `kept`, the work in its workspace is still being kept; see `core/runner/keeping`.
        `failed` is the failure that ended it, if one did.
        """
        now = self.context.clock()
        stop_reason, result = end.stop_reason, end.result
        attempt.progress.close_steps(stop_reason, error=end.error, at=now)
        records = attempt.progress.drain()
        run = attempt.run
        final = attempt.progress.columns()
        final["result"] = result
        final["error_message"] = end.error
        is_work_pending = kept is None and attempt.opened.prepared is not None
        if kept is not None:
            final |= kept.run_changes
        elif is_work_pending:
            final["work_due_at"] = now + KEEP_LIMIT
        if stop_reason is StopReason.SUCCESS and not is_work_pending:
            final |= judged_attempt(attempt, None if kept is None else kept.diff)
        try:
            async with self.context.transaction() as session:
                await steps.replace(session, run.id, attempt.progress.priced_steps)
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
                await record_progress(session, attempt, now=now)
                await attempts.mark_ended(session, run.id, run.attempt, now=now)
                if kept is not None:
                    await record_lasting(session, run, kept, stop_reason, now=now)
                if result:
                    await messages.add(session, result_message(run, result, now))
                if failed is not None:
                    await record_failure(session, run, failed, now=now)
                found = run_metadata(attempt, end)
                if found:
                    await runs.merge_metadata(session, run.run_id, found, now=now)
                ended = await runs.finish(
                    session,
                    run.run_id,
                    attempt=run.attempt,
                    stop_reason=stop_reason,
                    now=now,
                    **final,
                )
                if attempt.progress.result is None:
                    ended = await recount_if_possible(session, run, now=now)
                await continue_if_possible(session, ended, attempt.definition, now=now)
                await admit(session, now=now)
                return ended
        except BaseException:
            attempt.progress.restore_records(records)
            raise

    async def fail(
        self,
        run: Run,
        stop_reason: StopReason,
        message: str,
        *,
        lost: LostWorker | None = None,
        analysis: FailureAnalysis | None = None,
        decision: RetryDecision | None = None,
    ) -> Run:
        """Write the end of a run without a result: status, reason and a message for people.

        `decision` says why it is not tried again, if that was decided.
        """
        now = self.context.clock()
        new_events = [
            EventRecord(kind=EventKind.RUN_ENDED, at=now, data={"stop_reason": stop_reason})
        ]
        if lost is not None:
            new_events.insert(0, lost.to_event(now, resumes=False))
        async with self.context.transaction() as session:
            facts = failure_without_agent(run, stop_reason, message, analysis=analysis, lost=lost)
            await record_facts(session, run, facts, decision, now=now)
            await events.append(session, run.id, run.attempt, new_events)
            await close_attempt(session, run, stop_reason, now=now, error=message)
            if analysis is not None:
                found = {FAILURE_KEY: analysis.to_json()}
                await runs.merge_metadata(session, run.run_id, found, now=now)
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

    async def end_anyhow(
        self,
        run: Run,
        stop_reason: StopReason,
        message: str,
        *,
        analysis: FailureAnalysis | None = None,
    ) -> Run:
        """Write the end of a run like `fail`, or nothing but the end if that fails.

        Raises:
            StaleAttempt: If the run has a newer attempt.
            IllegalTransition: If it has ended.
            Unavailable: If the database cannot be reached.
        """
        try:
            return await self.fail(run, stop_reason, message, analysis=analysis)
        except (StaleAttempt, IllegalTransition, Unavailable):
            raise
        except Exception:
            log.exception(
                "%s: only its end can be written", run.run_id, extra=log_fields("end.reduced", run)
            )
        now = self.context.clock()
        # Two rows, and no decision: nothing can fail here but the database.  The clock admits the
        # next run.
        async with self.context.transaction() as session:
            await attempts.mark_ended(session, run.id, run.attempt, now=now)
            return await runs.finish(
                session,
                run.run_id,
                attempt=run.attempt,
                stop_reason=stop_reason,
                now=now,
                error_message=message,
            )

    async def hand_back(self, attempt: Attempt, *, reason: str) -> Run:
        """Write the last progress of an attempt, and put its run back into the queue."""
        try:
            await self.write_progress(attempt)
        except (StaleAttempt, IllegalTransition, Unavailable):
            raise
        except Exception:
            log.exception(
                "%s: its last progress could not be written",
                attempt.run.run_id,
                extra=log_fields("progress.write_failed", attempt.run),
            )
        return await self.requeue(attempt.run, reason=reason)

    async def requeue(
        self,
        run: Run,
        *,
        reason: str,
        lost: LostWorker | None = None,
        decision: RetryDecision | None = None,
    ) -> Run:
        """Put a running run back into the queue as its next attempt.

        A lost worker is a failure of the attempt; `decision` is why it is tried again.
        """
        now = self.context.clock()
        new_events = [] if lost is None else [lost.to_event(now, resumes=True)]
        requeued = EventRecord(
            kind=EventKind.RUN_REQUEUED, at=now, data={"why": reason, "lost": lost is not None}
        )
        async with self.context.transaction() as session:
            if lost is not None and decision is not None:
                facts = failure_without_agent(run, StopReason.WORKER_LOST, reason, lost=lost)
                await record_facts(session, run, facts, decision, now=now)
            await attempts.mark_ended(session, run.id, run.attempt, now=now)
            await recount_if_possible(session, run, now=now)
            next_attempt = await runs.requeue(session, run.run_id, attempt=run.attempt, now=now)
            await events.append(session, run.id, next_attempt.attempt, [*new_events, requeued])
            await admit(session, now=now)
            return await run_queries.get(session, next_attempt.run_id)


async def _initial_commit(session: AsyncSession, run: Run, base_commit: str | None) -> str | None:
    """The commit at which the run began; `None` if its repository had no commits then."""
    known = run.initial_commit_hash
    if known is None and run.attempt > 1:
        ready = await events.of_run(session, run.id, kinds=(EventKind.WORKSPACE_READY,), limit=1)
        return None if ready else base_commit
    return known or base_commit
