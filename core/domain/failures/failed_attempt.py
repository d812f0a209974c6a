"""A failed attempt of a run: what failed, the evidence, what helps, and what followed.

The table `failure_analyses` has a row for each; the run's metadata has the newest of them, so that
they can be shown without another query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from core.domain.failure_cause import FailureCause
from core.domain.failures.advice import Advice
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import (
    RetryAction,
    RetryDecision,
    RetryHistory,
    RetryReason,
)
from core.domain.redact import redact
from core.domain.runs.run import Run, RunStatus, StopReason

# In a run's metadata: a list of `FailedAttempt.to_json`, oldest first.
FAILED_ATTEMPTS_KEY = "failed_attempts"
# More than any policy allows.
_MAX_KEPT = 20
_MAX_ERROR_CHARS = 500
_MAX_EVIDENCE_CHARS = 500
_MAX_SUBJECT_CHARS = 160


@dataclass(frozen=True, kw_only=True)
class FailedAttempt:
    """One attempt that ended by a failure.

    Attributes:
        cause: Its cause, finer than the class; `None` if unknown.
        subject: The name of what failed: a model, a repository, a branch.
        error: What people were told, redacted.
        evidence: What the class was told from, by name, redacted: the HTTP `status`, the program's
            `error_type`, `terminal_reason` and `text`, the `code` of an error, the end of the
            program's error output (`stderr`), a limit that was reached.
        resets_at: When the usage limit ends, if the API has said so.
        turns: Of the run until then.
    """

    attempt: int
    at: datetime
    failure_class: FailureClass
    stop_reason: StopReason
    advice: Advice
    decision: RetryDecision
    cause: FailureCause | None = None
    subject: str | None = None
    error: str | None = None
    evidence: Mapping[str, str | int] = field(default_factory=dict)
    resets_at: datetime | None = None
    turns: int = 0

    def redacted(self) -> FailedAttempt:
        """The same without secrets, and with texts of bounded length."""
        return replace(
            self,
            subject=None if self.subject is None else redact(self.subject)[:_MAX_SUBJECT_CHARS],
            error=None if self.error is None else redact(self.error)[:_MAX_ERROR_CHARS],
            evidence={
                name: redact(value)[:_MAX_EVIDENCE_CHARS] if isinstance(value, str) else value
                for name, value in self.evidence.items()
            },
        )

    @property
    def evidence_lines(self) -> tuple[str, ...]:
        """The evidence as lines: `status: 529`."""
        return tuple(f"{name}: {value}" for name, value in self.evidence.items())

    def to_json(self) -> dict[str, Any]:
        """The value in a run's metadata."""
        decision = self.decision
        return {
            "attempt": self.attempt,
            "at": self.at.isoformat(),
            "class": self.failure_class.value,
            "stop_reason": self.stop_reason.value,
            "advice": self.advice.value,
            "cause": None if self.cause is None else self.cause.value,
            "subject": self.subject,
            "error": self.error,
            "evidence": dict(self.evidence),
            "resets_at": _text(self.resets_at),
            "turns": self.turns,
            "decision": decision_to_json(decision),
        }

    @classmethod
    def of_json(cls, stored: object) -> FailedAttempt | None:
        """Read what `to_json` wrote; `None` for anything else, as of a newer version."""
        if not isinstance(stored, Mapping):
            return None
        decision = stored.get("decision")
        evidence, subject, error = (stored.get(key) for key in ("evidence", "subject", "error"))
        try:
            cause = stored.get("cause")
            return cls(
                attempt=int(stored["attempt"]),
                at=datetime.fromisoformat(str(stored["at"])),
                failure_class=FailureClass(str(stored["class"])),
                stop_reason=StopReason(str(stored["stop_reason"])),
                advice=Advice(str(stored["advice"])),
                decision=decision_of_json(decision if isinstance(decision, Mapping) else {}),
                cause=None if cause is None else FailureCause(str(cause)),
                subject=subject if isinstance(subject, str) else None,
                error=error if isinstance(error, str) else None,
                evidence=_evidence(evidence),
                resets_at=_time(stored.get("resets_at")),
                turns=int(stored.get("turns") or 0),
            )
        except (ValueError, TypeError, KeyError, InvalidOperation):
            return None


def decision_to_json(decision: RetryDecision) -> dict[str, Any]:
    """A decision with all its numbers."""
    wait = decision.longest_wait
    return {
        "action": decision.action.value,
        "reason": decision.reason.value,
        "retry_at": _text(decision.retry_at),
        "retries_before": decision.retries_before,
        "allowed": decision.allowed,
        "cost_usd": None if decision.cost_usd is None else str(decision.cost_usd),
        "budget_usd": None if decision.budget_usd is None else str(decision.budget_usd),
        "longest_wait_seconds": None if wait is None else wait.total_seconds(),
        "history": {"tried": decision.history.tried, "helped": decision.history.helped},
    }


def decision_of_json(stored: Mapping[str, Any]) -> RetryDecision:
    """Read what `decision_to_json` wrote.

    Raises:
        ValueError, TypeError, KeyError, InvalidOperation: If it is something else.
    """
    seconds, history = stored.get("longest_wait_seconds"), stored.get("history") or {}
    return RetryDecision(
        action=RetryAction(str(stored["action"])),
        reason=RetryReason(str(stored["reason"])),
        retry_at=_time(stored.get("retry_at")),
        retries_before=int(stored.get("retries_before") or 0),
        allowed=int(stored.get("allowed") or 0),
        cost_usd=_money(stored.get("cost_usd")),
        budget_usd=_money(stored.get("budget_usd")),
        longest_wait=None if seconds is None else timedelta(seconds=float(seconds)),
        history=RetryHistory(
            tried=int(history.get("tried") or 0), helped=int(history.get("helped") or 0)
        ),
    )


def failed_attempts_of(run: Run) -> tuple[FailedAttempt, ...]:
    """The failed attempts of a run, oldest first."""
    stored = run.metadata.get(FAILED_ATTEMPTS_KEY)
    entries = stored if isinstance(stored, list | tuple) else ()
    found = (FailedAttempt.of_json(one) for one in entries)
    return tuple(one for one in found if one is not None)


def with_failed_attempt(run: Run, failed: FailedAttempt) -> dict[str, Any]:
    """The change of a run's metadata that adds a failed attempt, instead of an earlier record."""
    others = [one for one in failed_attempts_of(run) if one.attempt != failed.attempt]
    kept = [*others, failed.redacted()][-_MAX_KEPT:]
    return {FAILED_ATTEMPTS_KEY: [one.to_json() for one in kept]}


def last_failure_of(run: Run) -> FailedAttempt | None:
    """What ended a run, or what it waits to try again after; `None` if nothing failed last."""
    found = failed_attempts_of(run)
    if not found:
        return None
    last = found[-1]
    if run.status is RunStatus.FAILED:
        return last if last.attempt == run.attempt else None
    return last if is_waiting_to_retry(run) and last.attempt < run.attempt else None


def is_waiting_to_retry(run: Run) -> bool:
    """Whether a run waits for the time of its next attempt, after one that failed."""
    return run.status is RunStatus.PENDING and run.retry_at is not None


def retries_after(run: Run, failure_class: FailureClass) -> int:
    """How many further attempts a run was given after failures of a class."""
    return sum(
        one.failure_class is failure_class and one.decision.is_tried_again
        for one in failed_attempts_of(run)
    )


def _evidence(stored: object) -> dict[str, str | int]:
    items = stored.items() if isinstance(stored, Mapping) else ()
    return {str(name): value for name, value in items if isinstance(value, str | int)}


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(stored: object) -> datetime | None:
    return datetime.fromisoformat(stored) if isinstance(stored, str) else None


def _money(stored: object) -> Decimal | None:
    return None if stored is None else Decimal(str(stored))
