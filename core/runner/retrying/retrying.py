"""What follows a failed attempt: the decision, and a run that waits for its next attempt.

A waiting run is a pending row with a time; the admission gives it a job when that time has come.
So a wait holds no worker's slot and no session's lock, and survives a restart of anything.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core.agent.process.ladder import end_tree
from core.agent.results.attempt_result import AttemptResult
from core.domain.errors import unforeseen
from core.domain.failures.failed_attempt import FailedAttempt, retries_after
from core.domain.failures.retry_decision import (
    RetryAction,
    RetryDecision,
    RetryFacts,
    RetryHistory,
    RetryReason,
    decide,
)
from core.domain.failures.retry_policy import RetryPolicy
from core.domain.runs.errors import IllegalTransition, StaleAttempt
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, WaitingOn
from core.runner.execution.attempt import Attempt
from core.runner.execution.closing import recount_if_possible
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.ledgers.progress import store_progress
from core.runner.keeping.carry import Carrier
from core.runner.keeping.keeper import WorkKeeper
from core.runner.log_fields import log_fields
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable
from core.runner.retrying.failure_facts import FailureFacts, failure_of_attempt, undecided
from core.runner.retrying.records import record_failure
from core.services.fleet.admission import admit
from core.store import events, failures
from core.store.fleet import attempts
from core.store.runs import run_queries, runs

log = logging.getLogger(__name__)

# The work tree is also on this disk, where the next attempt most likely runs.
_SAVE_LIMIT = timedelta(seconds=20)


@dataclass(frozen=True)
class Retrying:
    """Decides on further attempts of the runs of one worker, and lets them wait.

    Attributes:
        policy: That of the installation; a workflow's own is over it.
        share: A random number from 0 up to 1, for the jitter.
    """

    ledger: Ledger
    keeper: WorkKeeper
    carrier: Carrier
    policy: RetryPolicy
    share: Callable[[], float] = random.random

    async def judge(self, attempt: Attempt, end: AttemptResult) -> FailedAttempt | None:
        """Decide what follows an attempt; `None` if it did not fail.

        A defect here costs only the further attempt: the run ends as it would without one.
        """
        facts = failure_of_attempt(attempt, end)
        if facts is None:
            return None
        now = self.ledger.context.clock()
        try:
            decision = await self._decide(attempt, facts)
        except Exception:
            log.exception(
                "%s: whether it is tried again could not be decided",
                attempt.run.run_id,
                extra=log_fields("retry.decision_failed", attempt.run),
            )
            decision = undecided(facts.failure_class)
        return facts.decided(attempt.run.attempt, decision, at=now)

    async def _decide(self, attempt: Attempt, facts: FailureFacts) -> RetryDecision:
        run, progress = attempt.run, attempt.progress
        present, history = await retry_while_unavailable(
            lambda: self._read(run, facts), patience=UNLIMITED_PATIENCE
        )
        cost_usd, _ = progress.cost()
        return decide(
            RetryFacts(
                failure_class=facts.failure_class,
                attempt=run.attempt,
                retries_before=retries_after(run, facts.failure_class),
                cost_usd=cost_usd,
                has_answers=progress.turns > 0,
                budget_usd=run.budget_usd,
                resets_at=facts.resets_at,
                is_kill_requested=present.kill_requested_at is not None,
                history=history,
            ),
            attempt.definition.retry.over(self.policy),
            now=self.ledger.context.clock(),
            share=self.share(),
        )

    async def _read(self, run: Run, facts: FailureFacts) -> tuple[Run, RetryHistory]:
        async with self.ledger.context.transaction() as session:
            return (
                await run_queries.get(session, run.run_id),
                await failures.history(
                    session,
                    run.workflow_name,
                    facts.failure_class,
                    now=self.ledger.context.clock(),
                ),
            )

    async def begin_wait(self, attempt: Attempt, failed: FailedAttempt) -> bool:
        """Let the run wait for its next attempt, with all its work and its conversation kept.

        Returns:
            Whether it waits; not if a kill was requested meanwhile, or for a defect.

        Raises:
            StaleAttempt: If the run was given to another attempt.
        """
        try:
            await self._prove_gone(attempt.run)
            await self.carrier.carry_remaining(attempt, await self._save(attempt))
            await retry_while_unavailable(
                lambda: self._requeue(attempt, failed), patience=UNLIMITED_PATIENCE
            )
        except StaleAttempt:
            raise
        except IllegalTransition:
            # Somebody wants its end, or it has ended.
            return False
        except Exception:
            log.exception(
                "%s could not be set to wait for its next attempt",
                attempt.run.run_id,
                extra=log_fields("retry.wait_failed", attempt.run),
            )
            return False
        log.warning(
            "%s failed (%s), its next attempt begins at %s",
            attempt.run.run_id,
            failed.failure_class,
            failed.decision.retry_at,
            extra=log_fields(
                "run.retry_scheduled", attempt.run, failure_class=failed.failure_class.value
            ),
        )
        return True

    async def _prove_gone(self, run: Run) -> None:
        """Prove that nothing of the run is left, so that a kill during the wait ends it at once."""
        proof = await end_tree(run_marker=run.run_id, root=None)
        if proof.is_confirmed:
            await retry_while_unavailable(
                lambda: self.ledger.kills.record_run_gone(run), patience=UNLIMITED_PATIENCE
            )

    async def _save(self, attempt: Attempt) -> Mapping[str, Any] | None:
        workspace = attempt.opened.workspace
        if workspace is None:
            return None
        label = f"{attempt.run.run_id}/{attempt.run.attempt}"
        try:
            async with asyncio.timeout(_SAVE_LIMIT.total_seconds()):
                return await self.keeper.workspaces.save(workspace, label)
        except Exception as error:
            # The workspace keeps it.
            log.warning(
                "%s: work tree not saved before a retry: %s",
                attempt.run.run_id,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("retry.save_failed", attempt.run),
            )
            return None

    async def _requeue(self, attempt: Attempt, failed: FailedAttempt) -> None:
        run, decision, progress = attempt.run, failed.decision, attempt.progress
        now = self.ledger.context.clock()
        is_limit = decision.action is RetryAction.WAIT
        records = progress.drain()
        try:
            async with self.ledger.context.transaction() as session:
                await store_progress(session, attempt, records, now=now)
                await record_failure(session, run, failed, now=now)
                await attempts.mark_ended(session, run.id, run.attempt, now=now)
                if progress.result is None:
                    await recount_if_possible(session, run, now=now)
                waiting = await runs.requeue(
                    session,
                    run.run_id,
                    attempt=run.attempt,
                    now=now,
                    retry_at=decision.retry_at,
                    waiting_on=WaitingOn.USAGE_LIMIT if is_limit else None,
                )
                await events.append(session, run.id, waiting.attempt, [_requeued(failed, now)])
                await admit(session, now=now)
        except BaseException:
            progress.restore_records(records)
            raise


def refused(failed: FailedAttempt) -> FailedAttempt:
    """The same failure, if the run could not be set to wait after all."""
    stop = replace(
        failed.decision, action=RetryAction.STOP, reason=RetryReason.NOT_STORED, retry_at=None
    )
    return replace(failed, decision=stop)


def _requeued(failed: FailedAttempt, now: datetime) -> EventRecord:
    data = {"why": failed.failure_class.value, "lost": False, "retry": True}
    return EventRecord(kind=EventKind.RUN_REQUEUED, at=now, data=data)
