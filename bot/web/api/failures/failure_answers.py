"""Failed attempts as JSON: what failed, the evidence, what helps, and what followed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.web.api.values import moment, money
from bot.web.route import Answer
from bot.words.failures.classes import failed_advice, failed_title
from bot.words.failures.retries import decision_words
from core.domain.failure_cause import FailureCause
from core.domain.failures.advice import Advice
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryAction, RetryDecision, RetryReason
from core.domain.runs.run import StopReason


class RetryHistoryAnswer(Answer):
    """How the last retries of the same class on the same workflow came out.

    Attributes:
        tried: How many are known, at most 8, of the last 24 hours.
        helped: After how many the next attempt did not fail the same way.
    """

    tried: int
    helped: int


class RetryAnswer(Answer):
    """What follows a failed attempt, and the numbers that decided.

    Attributes:
        summary: The same in words.
        retry_at: When the next attempt may begin; `null` if there is none.
        retries_before: Further attempts after earlier failures of the same class.
        allowed: How many the workflow's rule allows; for a usage limit, how many waits.
        cost: What all attempts had cost, in US dollars; `null` if unknown.
        budget_usd: What they may cost together; `null` if there is no such limit.
    """

    action: RetryAction
    reason: RetryReason
    summary: str
    retry_at: datetime | None
    retries_before: int
    allowed: int
    cost: float | None
    budget_usd: float | None
    history: RetryHistoryAnswer


class FailedAttemptAnswer(Answer):
    """An attempt that failed.

    Attributes:
        title: What failed, as a headline.
        failure_class: The class that decides whether it is tried again.
        cause: Finer than the class; `null` if unknown.
        evidence: What the class was told from, by name; secrets are redacted.
        advice: What helps, as a word for programs.
        advice_text: The same in words.
        resets_at: When the usage limit ends; `null` if that is unknown, or it was none.
        turns: Of the run until then.
    """

    attempt: int
    failed_at: datetime
    title: str
    failure_class: FailureClass
    stop_reason: StopReason
    cause: FailureCause | None
    subject: str | None
    error: str | None
    evidence: dict[str, str | int]
    advice: Advice
    advice_text: str
    resets_at: datetime | None
    turns: int
    retry: RetryAnswer


class FailureList(Answer):
    """The failed attempts of a run, oldest first.

    Attributes:
        attempt: The run's present attempt.
    """

    run_id: str
    attempt: int
    failures: list[FailedAttemptAnswer]


def failure_answer(failed: FailedAttempt) -> FailedAttemptAnswer:
    """A failed attempt as JSON, checked."""
    return FailedAttemptAnswer(**failure_fields(failed))


def failure_fields(failed: FailedAttempt) -> dict[str, Any]:
    """The fields of a `FailedAttemptAnswer`.  Pure."""
    return {
        "attempt": failed.attempt,
        "failed_at": moment(failed.at),
        "title": failed_title(failed),
        "failure_class": failed.failure_class.value,
        "stop_reason": failed.stop_reason.value,
        "cause": None if failed.cause is None else failed.cause.value,
        "subject": failed.subject,
        "error": failed.error,
        "evidence": dict(failed.evidence),
        "advice": failed.advice.value,
        "advice_text": failed_advice(failed),
        "resets_at": moment(failed.resets_at),
        "turns": failed.turns,
        "retry": _retry_fields(failed.decision),
    }


def _retry_fields(decision: RetryDecision) -> dict[str, Any]:
    return {
        "action": decision.action.value,
        "reason": decision.reason.value,
        "summary": decision_words(decision),
        "retry_at": moment(decision.retry_at),
        "retries_before": decision.retries_before,
        "allowed": decision.allowed,
        "cost": money(decision.cost_usd),
        "budget_usd": money(decision.budget_usd),
        "history": {"tried": decision.history.tried, "helped": decision.history.helped},
    }
