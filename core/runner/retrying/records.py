"""Writes failures, with all that belongs to them, in the transaction that ends an attempt."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.failures.failed_attempt import FailedAttempt, with_failed_attempt
from core.domain.failures.retry_decision import RetryDecision
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.runner.retrying.failure_facts import FailureFacts, undecided
from core.store import events, failures
from core.store.runs import runs


async def record_failure(
    session: AsyncSession, run: Run, failed: FailedAttempt, *, now: datetime
) -> None:
    """Add a failure to its table, to the run, and to the run's events."""
    await failures.record(session, run, failed)
    await runs.merge_metadata(session, run.run_id, with_failed_attempt(run, failed), now=now)
    decision = failed.decision
    await events.append(
        session,
        run.id,
        failed.attempt,
        [
            EventRecord(
                kind=EventKind.ATTEMPT_FAILED,
                at=failed.at,
                data={
                    "class": failed.failure_class.value,
                    "error": failed.error,
                    "action": decision.action.value,
                    "reason": decision.reason.value,
                    "retry_at": decision.retry_at.isoformat() if decision.retry_at else None,
                },
            )
        ],
    )


async def record_facts(
    session: AsyncSession,
    run: Run,
    facts: FailureFacts | None,
    decision: RetryDecision | None,
    *,
    now: datetime,
) -> None:
    """Add the failure of the present attempt, if it is one.

    Without a decision nobody has looked for a further attempt.
    """
    if facts is not None:
        decided = decision or undecided(facts.failure_class)
        await record_failure(session, run, facts.decided(run.attempt, decided, at=now), now=now)
