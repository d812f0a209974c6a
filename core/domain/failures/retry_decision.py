"""The decision whether a failed attempt is followed by another one.  Pure.

Everything that decided is part of the decision, and is shown with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_policy import (
    MAX_ATTEMPTS_IN_ALL,
    MAX_WAITS,
    NEVER_RETRIED,
    WITHOUT_PAUSE,
    RetryPolicy,
)

# With so many retries of a class on a workflow that all failed, further ones are not begun.
MIN_HISTORY = 8
# Older ones say nothing about the present state of an API or a host.
HISTORY_WINDOW = timedelta(hours=24)
# Runs that waited for the same reset begin within this time after it, or a tenth of their wait.
_MAX_SPREAD = timedelta(minutes=1)
# If the time that the API has named is over already.
_MIN_WAIT = timedelta(seconds=1)
# What became of other runs says nothing about a reset that the API has named, or about a worker.
_WITHOUT_HISTORY = frozenset({FailureClass.USAGE_LIMIT, FailureClass.WORKER_LOST})


class RetryAction(StrEnum):
    """What follows a failed attempt."""

    RETRY = "retry"
    WAIT = "wait"
    STOP = "stop"


class RetryReason(StrEnum):
    """What decided."""

    # Why there is another attempt.
    RULE = "rule"
    RESET_KNOWN = "reset_known"
    # Why there is none.
    DETERMINISTIC = "deterministic"
    SWITCHED_OFF = "switched_off"
    ATTEMPTS_USED = "attempts_used"
    BUDGET_USED = "budget_used"
    COST_UNKNOWN = "cost_unknown"
    RESET_UNKNOWN = "reset_unknown"
    RESET_TOO_LATE = "reset_too_late"
    NEVER_HELPED = "never_helped"
    KILL_REQUESTED = "kill_requested"
    NOT_STORED = "not_stored"


@dataclass(frozen=True, kw_only=True)
class RetryHistory:
    """How the last retries of one class on one workflow came out.

    Attributes:
        tried: How many are known, at most `MIN_HISTORY`, of the last 24 hours.
        helped: After how many of them the attempt did not fail with the same class.
    """

    tried: int = 0
    helped: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> RetryHistory:
        """Count outcomes, newest first; only the newest `MIN_HISTORY` count."""
        newest = [outcome for outcome, _ in zip(outcomes, range(MIN_HISTORY), strict=False)]
        return cls(tried=len(newest), helped=sum(newest))

    @property
    def is_hopeless(self) -> bool:
        """Whether enough retries are known, and none of them has helped."""
        return self.tried >= MIN_HISTORY and self.helped == 0


@dataclass(frozen=True, kw_only=True)
class RetryFacts:
    """What is known about a run whose attempt has failed.

    Attributes:
        attempt: The attempt that failed.
        retries_before: Further attempts of this run after earlier failures of the same class.
        cost_usd: Of all its attempts; `None` if unknown.
        has_answers: Whether any model has answered: without that nothing was spent.
        budget_usd: The run's own budget.
        resets_at: When the usage limit ends, if the API has said so.
        is_kill_requested: Whether a person has asked for its end.
    """

    failure_class: FailureClass
    attempt: int
    retries_before: int = 0
    cost_usd: Decimal | None = None
    has_answers: bool = True
    budget_usd: Decimal | None = None
    resets_at: datetime | None = None
    is_kill_requested: bool = False
    history: RetryHistory = field(default_factory=RetryHistory)


@dataclass(frozen=True, kw_only=True)
class RetryDecision:
    """What follows a failed attempt, and the numbers that decided.

    Attributes:
        retry_at: When the next attempt may begin; `None` if there is none.
        retries_before: As in `RetryFacts`.
        allowed: How many retries the rule allows; for usage limits, how many waits.
        cost_usd: What all attempts have cost so far; `None` if unknown.
        budget_usd: The ceiling of money that applied; `None` if there is none.
        longest_wait: The longest wait that is allowed, for a usage limit.
    """

    action: RetryAction
    reason: RetryReason
    retry_at: datetime | None = None
    retries_before: int = 0
    allowed: int = 0
    cost_usd: Decimal | None = None
    budget_usd: Decimal | None = None
    longest_wait: timedelta | None = None
    history: RetryHistory = field(default_factory=RetryHistory)

    @property
    def is_tried_again(self) -> bool:
        """Whether another attempt follows."""
        return self.action is not RetryAction.STOP


def decide(facts: RetryFacts, policy: RetryPolicy, *, now: datetime, share: float) -> RetryDecision:
    """Decide what follows a failed attempt.

    Args:
        facts: About the run and its failure.
        policy: The rules that apply to it.
        now: The present time.
        share: A random number from 0 up to 1, for the jitter.
    """
    is_limit = facts.failure_class is FailureClass.USAGE_LIMIT
    reason = _obstacle(facts, policy, now)
    retry_at = None
    if reason is None and is_limit and facts.resets_at is not None:
        wait = max(facts.resets_at - now, _MIN_WAIT)
        retry_at = now + wait + min(wait / 10, _MAX_SPREAD) * share
    elif reason is None and facts.failure_class in WITHOUT_PAUSE:
        retry_at = now
    elif reason is None:
        rule = policy.rule(facts.failure_class)
        retry_at = now + rule.pause_limit(facts.retries_before) * share
    going_on = RetryReason.RESET_KNOWN if is_limit else RetryReason.RULE
    action = RetryAction.WAIT if is_limit else RetryAction.RETRY
    return RetryDecision(
        action=action if reason is None else RetryAction.STOP,
        reason=reason or going_on,
        retry_at=retry_at,
        retries_before=facts.retries_before,
        allowed=_allowed(facts.failure_class, policy),
        cost_usd=facts.cost_usd,
        budget_usd=_ceiling(facts, policy),
        longest_wait=policy.longest_wait if is_limit else None,
        history=facts.history,
    )


def _allowed(failure_class: FailureClass, policy: RetryPolicy) -> int:
    if failure_class is FailureClass.USAGE_LIMIT:
        return MAX_WAITS if policy.longest_wait else 0
    return policy.rule(failure_class).attempts


def _ceiling(facts: RetryFacts, policy: RetryPolicy) -> Decimal | None:
    limits = [one for one in (facts.budget_usd, policy.budget_usd) if one is not None]
    return min(limits, default=None)


def _obstacle(facts: RetryFacts, policy: RetryPolicy, now: datetime) -> RetryReason | None:
    """Why there is no further attempt; the reason that a person would name first."""
    allowed = _allowed(facts.failure_class, policy)
    if facts.is_kill_requested:
        return RetryReason.KILL_REQUESTED
    if facts.failure_class in NEVER_RETRIED:
        return RetryReason.DETERMINISTIC
    if allowed == 0:
        return RetryReason.SWITCHED_OFF
    if facts.retries_before >= allowed or facts.attempt >= MAX_ATTEMPTS_IN_ALL:
        return RetryReason.ATTEMPTS_USED
    if facts.failure_class in _WITHOUT_HISTORY:
        return _reset_obstacle(facts, policy, now) or _money_obstacle(facts, policy)
    hopeless = RetryReason.NEVER_HELPED if facts.history.is_hopeless else None
    return _money_obstacle(facts, policy) or hopeless


def _reset_obstacle(facts: RetryFacts, policy: RetryPolicy, now: datetime) -> RetryReason | None:
    if facts.failure_class is not FailureClass.USAGE_LIMIT:
        return None
    if facts.resets_at is None:
        return RetryReason.RESET_UNKNOWN
    longest = policy.longest_wait or timedelta(0)
    return RetryReason.RESET_TOO_LATE if facts.resets_at - now > longest else None


def _money_obstacle(facts: RetryFacts, policy: RetryPolicy) -> RetryReason | None:
    ceiling = _ceiling(facts, policy)
    if ceiling is None:
        return None
    if facts.cost_usd is None:
        # An unknown price ends nothing, unless somebody has set a limit for just this.
        is_bounded = policy.budget_usd is not None and facts.has_answers
        return RetryReason.COST_UNKNOWN if is_bounded else None
    return RetryReason.BUDGET_USED if facts.cost_usd >= ceiling else None
