"""Rescue of runs whose worker died: found by their silent heartbeat, and reassigned."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

from core.agent.process.ladder import end_tree
from core.domain.errors import Conflict, Unavailable
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryAction, RetryDecision, RetryReason
from core.domain.fleet.attempt import STALLED_AFTER, AttemptRecord
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, StopReason
from core.domain.workflow import OnWorkerLost
from core.queue import jobs
from core.runner.execution.attempt_result import reassignment_failed
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.log_fields import log_fields
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.recovery.lost_worker import GIVE_UP_AFTER, RECHECK_AFTER, LostWorker
from core.runner.retrying.policies import PolicyOf, default_policy
from core.store import events
from core.store.fleet import attempts, workers
from core.store.runs import run_queries

log = logging.getLogger(__name__)


@dataclass
class Rescue:
    """Rescues runs of dead workers of the whole fleet, from one worker.

    Attributes:
        suspected_attempts: By run id and attempt: when it was first found silent, and its last
            heartbeat then.  A later heartbeat clears the suspicion, so that a worker whose clock
            is behind does not count as dead.
        failing: By run id and attempt: when its rescue first failed for an unforeseen reason.
        policy_of: How many lost workers a run of a workflow survives.
    """

    ledger: Ledger
    kills: InterruptedKills
    suspected_attempts: dict[tuple[str, int], tuple[datetime, datetime]] = field(
        default_factory=dict
    )
    failing: dict[tuple[str, int], datetime] = field(default_factory=dict)
    policy_of: PolicyOf = default_policy

    async def rescue_lost_runs(self) -> list[Run]:
        """Check once for runs whose worker is silent, and reassign those that are lost.

        Returns:
            The lost runs, after the change.
        """
        now = self.ledger.context.clock()
        async with self.ledger.context.transaction() as session:
            silent = await run_queries.stalled(session, before=now - STALLED_AFTER)
            # Only for the list of workers that people see.
            await workers.mark_gone(session, before=now - 2 * STALLED_AFTER, now=now)
        still_silent = {(run.run_id, run.attempt): process.heartbeat_at for run, process in silent}
        self.suspected_attempts = {
            key: seen
            for key, seen in self.suspected_attempts.items()
            if still_silent.get(key) == seen[1]
        }
        self.failing = {key: at for key, at in self.failing.items() if key in still_silent}
        lost: list[Run] = []
        for run, process in silent:
            key = run.run_id, run.attempt
            since, _ = self.suspected_attempts.setdefault(key, (now, process.heartbeat_at))
            if now - since >= RECHECK_AFTER and await self._take_lease(run, process):
                lost.append(await self.reassign(run, process))
        return lost

    async def reassign_runs_of_predecessors(self, node: str) -> list[Run]:
        """Reassign the runs of earlier workers of this node.

        They are certainly dead: this worker holds the node's lock and saw no duplicate node
        (`core/runner/worker/duplicate_node.py`).
        """
        async with self.ledger.context.transaction() as session:
            orphans = [
                (run, process)
                for run in await run_queries.running(session)
                for process in await attempts.of_run(session, run.id)
                if process.attempt == run.attempt
                and process.worker_id.startswith(f"{node}:")
                and process.worker_id != self.ledger.worker_id
            ]
        return [await self.reassign(run, process) for run, process in orphans]

    async def _take_lease(self, run: Run, process: AttemptRecord) -> bool:
        """Take the lease from a silent worker; `False` if a heartbeat arrived meanwhile."""
        async with self.ledger.context.transaction() as session:
            return await attempts.end_if_silent(
                session,
                run.id,
                run.attempt,
                last_heartbeat_at=process.heartbeat_at,
                now=self.ledger.context.clock(),
            )

    async def reassign(self, run: Run, process: AttemptRecord) -> Run:
        """End what is left of a lost run on this machine, and requeue or fail it.

        For a run with a kill request, finish the kill instead.  The run's job stays until the
        kill is proven, so that a worker that is alive after all still receives the kill.
        """
        try:
            return await self._reassign(run, process)
        except Conflict as error:
            return await self._read_settled(run, error)
        except Unavailable:
            raise
        except Exception:
            # One failure must neither prevent the other rescues nor end this worker.
            log.exception(
                "%s cannot be reassigned, it is tried again",
                run.run_id,
                extra=log_fields("run.reassign_failed", run),
            )
        try:
            return await self._give_up_if_overdue(run)
        except Conflict as error:
            return await self._read_settled(run, error)

    async def _reassign(self, run: Run, process: AttemptRecord) -> Run:
        if run.kill_requested_at is not None:
            return await self.kills.finish_kill(run)
        if self.ledger.kills.is_local_attempt(process):
            is_same_host = process.host == self.ledger.host
            proof = await end_tree(
                run_marker=run.run_id,
                root=process.agent if is_same_host else None,
                attempt=process.attempt,
            )
            if proof.is_confirmed:
                await self.ledger.kills.record_run_gone(run)
        if run.job_id is not None:
            async with self.ledger.context.transaction() as session:
                await jobs.finish_abandoned(session, run.job_id)
        return await self._resume_or_fail(run, process)

    async def _read_settled(self, run: Run, error: Conflict) -> Run:
        log.info(
            "%s was settled elsewhere: %s",
            run.run_id,
            error,
            extra=log_fields("rescue.superseded", run),
        )
        return await self.ledger.read_run(run.run_id)

    async def _give_up_if_overdue(self, run: Run) -> Run:
        """End a run whose rescue has failed for long; a kill of it stays open."""
        now = self.ledger.context.clock()
        if now - self.failing.setdefault((run.run_id, run.attempt), now) < GIVE_UP_AFTER:
            return run
        if run.job_id is not None:
            async with self.ledger.context.transaction() as session:
                await jobs.finish_abandoned(session, run.job_id)
        ended = await self.ledger.end_anyhow(
            run, StopReason.WORKER_LOST, reassignment_failed(run).user_message
        )
        log.error(
            "%s ended: its worker was lost, and it could not be reassigned",
            run.run_id,
            extra=log_fields("run.ended", ended, stop_reason=StopReason.WORKER_LOST.value),
        )
        return ended

    async def _resume_or_fail(self, run: Run, process: AttemptRecord) -> Run:
        async with self.ledger.context.transaction() as session:
            earlier_losses = await events.of_run(session, run.id, kinds=(EventKind.WORKER_LOST,))
        lost = LostWorker(process=process, loss_count=len(earlier_losses) + 1)
        # Otherwise a run that crashes every worker would be retried for ever.
        allowed = self.policy_of(run.workflow_name).rule(FailureClass.WORKER_LOST).attempts
        if run.on_worker_lost is OnWorkerLost.FAIL:
            stop = _decision(lost, 0, RetryReason.SWITCHED_OFF)
            return await self._fail(run, lost, "Its workflow is set to stop in that case.", stop)
        if lost.loss_count > allowed:
            return await self._fail(
                run,
                lost,
                f"The run has lost {lost.loss_count} workers, so it is not tried again "
                "automatically.",
                _decision(lost, allowed, RetryReason.ATTEMPTS_USED),
            )
        log.warning(
            "%s: worker %s was lost, it is requeued",
            run.run_id,
            process.worker_id,
            extra=log_fields("run.requeued", run, lost_worker_id=process.worker_id),
        )
        return await self.ledger.requeue(
            run,
            reason="its worker was lost",
            lost=lost,
            decision=_decision(lost, allowed, RetryReason.RULE),
        )

    async def _fail(
        self, run: Run, lost: LostWorker, explanation: str, decision: RetryDecision
    ) -> Run:
        at = f"{lost.process.heartbeat_at:%H:%M:%S} UTC"
        ended = await self.ledger.fail(
            run,
            StopReason.WORKER_LOST,
            f"Worker {lost.node} sent its last heartbeat at {at} and is lost. {explanation} What "
            "the agent said and committed until then is kept: continue the run to go on from "
            "there.",
            lost=lost,
            decision=decision,
        )
        log.warning(
            "%s ended: worker %s was lost",
            run.run_id,
            lost.process.worker_id,
            extra=log_fields(
                "run.ended",
                ended,
                stop_reason=StopReason.WORKER_LOST.value,
                lost_worker_id=lost.process.worker_id,
            ),
        )
        return ended


def _decision(lost: LostWorker, allowed: int, reason: RetryReason) -> RetryDecision:
    return RetryDecision(
        action=RetryAction.RETRY if reason is RetryReason.RULE else RetryAction.STOP,
        reason=reason,
        retries_before=lost.loss_count - 1,
        allowed=allowed,
    )
