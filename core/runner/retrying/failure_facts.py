"""What is known about the failure of an attempt: its class, its evidence, what helps.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from core.agent.results.attempt_result import AttemptResult
from core.domain.failure_cause import FailureCause
from core.domain.failures.advice import advice_on
from core.domain.failures.classification import class_of
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryAction, RetryDecision, RetryReason
from core.domain.failures.retry_policy import NEVER_RETRIED
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.run import Run, StopReason
from core.runner.execution.attempt import Attempt
from core.runner.recovery.lost_worker import LostWorker

# The last lines of the program's error output.
_STDERR_LINES = 4
_SHOWS_STDERR = frozenset(
    {FailureClass.AGENT_CRASH, FailureClass.NO_RESULT, FailureClass.UNKNOWN, FailureClass.SETUP}
)


@dataclass(frozen=True, kw_only=True)
class FailureFacts:
    """A failure before it is decided what follows it; the fields are those of `FailedAttempt`."""

    failure_class: FailureClass
    stop_reason: StopReason
    cause: FailureCause | None = None
    subject: str | None = None
    error: str | None = None
    evidence: Mapping[str, str | int] = field(default_factory=dict)
    resets_at: datetime | None = None
    turns: int = 0

    def decided(self, attempt: int, decision: RetryDecision, *, at: datetime) -> FailedAttempt:
        """The failed attempt, with what follows it."""
        return FailedAttempt(
            attempt=attempt,
            at=at,
            failure_class=self.failure_class,
            stop_reason=self.stop_reason,
            advice=advice_on(self.failure_class, self.cause),
            decision=decision,
            cause=self.cause,
            subject=self.subject,
            error=self.error,
            evidence=self.evidence,
            resets_at=self.resets_at,
            turns=self.turns,
        ).redacted()


def failure_of_attempt(attempt: Attempt, end: AttemptResult) -> FailureFacts | None:
    """The failure that ended an attempt on this worker; `None` if it did not fail."""
    agent = attempt.opened.agent
    lost_entries = 0 if agent is None else agent.lost_entries
    cause = None if end.analysis is None else end.analysis.cause
    failure_class = class_of(end.stop_reason, cause, is_conversation_incomplete=lost_entries > 0)
    if failure_class is None:
        return None
    evidence: dict[str, str | int] = {}
    if end.analysis is not None:
        evidence |= end.analysis.evidence
    elif attempt.progress.result is not None:
        evidence |= _of_result(attempt)
    if lost_entries:
        evidence["lost_transcript_entries"] = lost_entries
    evidence |= _of_limits(attempt, end.stop_reason)
    if attempt.progress.api_retries:
        evidence["api_retries"] = attempt.progress.api_retries
    if failure_class in _SHOWS_STDERR and agent is not None and agent.stderr_tail.strip():
        evidence["stderr"] = "\n".join(agent.stderr_tail.strip().splitlines()[-_STDERR_LINES:])
    return FailureFacts(
        failure_class=failure_class,
        stop_reason=end.stop_reason,
        cause=cause,
        subject=None if end.analysis is None else end.analysis.subject,
        error=end.error,
        evidence=evidence,
        resets_at=end.resets_at,
        turns=attempt.progress.turns,
    )


def failure_without_agent(
    run: Run,
    stop_reason: StopReason,
    message: str,
    *,
    analysis: FailureAnalysis | None = None,
    lost: LostWorker | None = None,
) -> FailureFacts | None:
    """The failure of a run that ends, or is requeued, without its worker."""
    cause = None if analysis is None else analysis.cause
    failure_class = class_of(stop_reason, cause)
    if failure_class is None:
        return None
    evidence: dict[str, str | int] = {} if analysis is None else dict(analysis.evidence)
    if lost is not None:
        evidence |= {
            "worker": lost.process.worker_id,
            "last_heartbeat": lost.process.heartbeat_at.isoformat(),
            "losses": lost.loss_count,
        }
    return FailureFacts(
        failure_class=failure_class,
        stop_reason=stop_reason,
        cause=cause,
        subject=None if analysis is None else analysis.subject,
        error=message,
        evidence=evidence,
        turns=run.turns,
    )


def undecided(failure_class: FailureClass) -> RetryDecision:
    """The decision about a failure after which nobody looks for a further attempt."""
    is_never = failure_class in NEVER_RETRIED
    reason = RetryReason.DETERMINISTIC if is_never else RetryReason.SWITCHED_OFF
    return RetryDecision(action=RetryAction.STOP, reason=reason)


def _of_result(attempt: Attempt) -> dict[str, str | int]:
    result = attempt.progress.result
    if result is None:
        return {}
    found = {
        "subtype": result.subtype,
        "terminal_reason": result.terminal_reason,
        "status": result.api_error_status,
        "text": " ".join(result.errors),
    }
    return {name: value for name, value in found.items() if value}


def _of_limits(attempt: Attempt, stop_reason: StopReason) -> dict[str, str | int]:
    run, progress = attempt.run, attempt.progress
    cost, _ = progress.cost()
    found: dict[str, str | int | None] = {}
    if stop_reason is StopReason.MAX_TURNS:
        found = {"turns": progress.turns, "max_turns": run.max_turns}
    elif stop_reason is StopReason.BUDGET:
        found = {
            "cost_usd": None if cost is None else str(cost),
            "budget_usd": None if run.budget_usd is None else str(run.budget_usd),
        }
    elif stop_reason is StopReason.TIMEOUT:
        found = {"timeout_seconds": int(attempt.timeout.total_seconds())}
    return {name: value for name, value in found.items() if value is not None}
