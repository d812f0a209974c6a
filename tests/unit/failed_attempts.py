"""Failed attempts for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from core.domain.failure_cause import FailureCause
from core.domain.failures.advice import Advice
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryAction, RetryDecision, RetryReason
from core.domain.runs.run import StopReason

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STOP = RetryDecision(action=RetryAction.STOP, reason=RetryReason.SWITCHED_OFF)
_FAILED = FailedAttempt(
    attempt=1,
    at=AT,
    failure_class=FailureClass.OVERLOADED,
    stop_reason=StopReason.API_ERROR,
    advice=Advice.CONTINUE_LATER,
    decision=STOP,
    cause=FailureCause.OVERLOADED,
    error="API Error: 529 Overloaded",
    evidence={"status": 529, "text": "API Error: 529 Overloaded"},
)


def make_failed(**fields: Any) -> FailedAttempt:
    """A failed attempt: of an overloaded API, unless the fields say something else."""
    return replace(_FAILED, **fields)
