"""What ended a run, or what it is tried again after, as a structured result of the tools."""

from __future__ import annotations

from datetime import datetime

from bot.mcp.progress_results import Result
from bot.words.failures.classes import failed_advice, failed_title
from bot.words.failures.retries import decision_words
from core.domain.failures.failed_attempt import failed_attempts_of, last_failure_of
from core.domain.runs.run import Run


class FailureResult(Result):
    """A failure.

    Attributes:
        failure_class: The class that decides whether the run is tried again.
        advice: What a person can do about it.
        next: What follows, in words, with the numbers that decided.
        retry_at: When the next attempt may begin, while the run waits for that.
        failed_attempts: How many attempts of the run have failed.
    """

    title: str
    failure_class: str
    advice: str
    next: str
    retry_at: datetime | None
    failed_attempts: int


def failure_result(run: Run) -> FailureResult | None:
    """What ended a run, or what it is tried again after; `None` if nothing has failed it."""
    failed = last_failure_of(run)
    if failed is None:
        return None
    return FailureResult(
        title=failed_title(failed),
        failure_class=failed.failure_class.value,
        advice=failed_advice(failed),
        next=decision_words(failed.decision),
        retry_at=run.retry_at,
        failed_attempts=len(failed_attempts_of(run)),
    )
