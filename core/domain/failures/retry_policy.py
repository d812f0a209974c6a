"""Which failures of a run are tried again, how often, and after which pauses.

A workflow's definition changes single rules of the default policy; see `retry_parsing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType

from core.domain.failures.failure_class import FailureClass

# Whatever the rules say: a run that is never done must not be tried for ever.
MAX_ATTEMPTS_IN_ALL = 20
MAX_FURTHER_ATTEMPTS = 10
MAX_BACKOFF = timedelta(hours=6)
MAX_WAIT = timedelta(days=7)
# How often a run waits for the account's limit; each wait is until a time that the API has named.
MAX_WAITS = 5
MAX_AUTOMATIC_LEGS = 20

_NOTHING_CHANGES = "trying again changes nothing"
# The classes that no rule can have tried again, each with the reason.
NEVER_RETRIED: Mapping[FailureClass, str] = MappingProxyType(
    {
        FailureClass.AUTHENTICATION: f"{_NOTHING_CHANGES} until somebody replaces the credentials",
        FailureClass.REJECTED: f"{_NOTHING_CHANGES}, the API rejects the same request again",
        FailureClass.CONTEXT_TOO_LONG: f"{_NOTHING_CHANGES}, the conversation stays as long",
        FailureClass.REFUSAL: f"{_NOTHING_CHANGES}, the same conversation is refused again",
        FailureClass.MAX_TURNS: "a turn limit is to end a run; `auto_continue` starts further legs",
        FailureClass.BUDGET: "a budget is to end a run",
        FailureClass.TIMEOUT: "a time limit is to end a run; raise `timeout`",
        FailureClass.MIRROR_FAILED: "its conversation is incomplete and cannot be resumed",
    }
)
# These begin again at once: nothing has to recover first.
WITHOUT_PAUSE = frozenset({FailureClass.WORKER_LOST})


@dataclass(frozen=True, kw_only=True)
class RetryRule:
    """How failures of one class are tried again.

    Attributes:
        attempts: How many further attempts a run gets after failures of this class; 0 is none.
        first: The longest first pause; the limit doubles with each further attempt.
        longest: The limit of all pauses.
    """

    attempts: int
    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(minutes=10)

    def pause_limit(self, retries_before: int) -> timedelta:
        """The longest pause before the next attempt.

        The actual pause is a random share of it ("full jitter"), so that runs that failed together
        do not come back together.
        """
        doublings = min(max(retries_before, 0), 30)
        return min(self.first * (1 << doublings), self.longest)


NO_RETRY = RetryRule(attempts=0)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """The rules of a workflow, or of an installation.

    Attributes:
        rules: By class, for all but usage limits; a class without a rule is not tried again.
        longest_wait: The longest wait for a usage limit to reset; zero is none, `None` is that of
            the policy below.
        budget_usd: From this cost of all attempts together on no further one is begun, and none
            may exceed it; `None` is no other limit than the run's own budget.
    """

    rules: Mapping[FailureClass, RetryRule] = field(default_factory=dict)
    longest_wait: timedelta | None = None
    budget_usd: Decimal | None = None

    def rule(self, failure_class: FailureClass) -> RetryRule:
        """The rule for a class."""
        return self.rules.get(failure_class, NO_RETRY)

    def over(self, below: RetryPolicy) -> RetryPolicy:
        """This policy, with the rules of another one where it says nothing."""
        return replace(
            self,
            rules={**below.rules, **self.rules},
            longest_wait=below.longest_wait if self.longest_wait is None else self.longest_wait,
            budget_usd=below.budget_usd if self.budget_usd is None else self.budget_usd,
        )


DEFAULT_POLICY = RetryPolicy(
    rules={
        # The agent program has already repeated the call for some minutes.
        FailureClass.TRANSIENT: RetryRule(attempts=3),
        FailureClass.OVERLOADED: RetryRule(
            attempts=4, first=timedelta(minutes=1), longest=timedelta(minutes=15)
        ),
        FailureClass.WORKER_LOST: RetryRule(attempts=2, first=timedelta(0)),
    },
    # An account's usage is counted in windows of five hours.
    longest_wait=timedelta(hours=6),
)
# Says about every class that it is not tried again, whatever the policy below says; what happens
# to a run whose worker was lost is `on_worker_lost`.
NEVER = RetryPolicy(
    rules={
        one: NO_RETRY
        for one in FailureClass
        if one not in {FailureClass.USAGE_LIMIT, FailureClass.WORKER_LOST}
    },
    longest_wait=timedelta(0),
)


@dataclass(frozen=True, kw_only=True)
class AutoContinue:
    """The opt-in that starts the next leg of a run that its turn limit ended.

    Attributes:
        legs: How many legs are started automatically, one after the other.
        budget_usd: What all runs of the session together may cost.
    """

    legs: int
    budget_usd: Decimal
