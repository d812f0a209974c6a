"""Reads `retry` and `auto_continue` of a workflow's front matter or of `signalbox.toml`.  Pure.

    retry:
      transient: {attempts: 3, backoff: 30s..10m}
      overloaded: never
      usage_limit: wait
      budget_usd: 5

Each function raises `InvalidRetry` with a text that completes "… `retry`: ".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches

from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_policy import (
    DEFAULT_POLICY,
    MAX_AUTOMATIC_LEGS,
    MAX_BACKOFF,
    MAX_FURTHER_ATTEMPTS,
    MAX_WAIT,
    NEVER,
    NEVER_RETRIED,
    NO_RETRY,
    WITHOUT_PAUSE,
    AutoContinue,
    RetryPolicy,
    RetryRule,
)


class InvalidRetry(ValueError):
    """A value does not suit its key."""


_NEVER, _WAIT = "never", "wait"
_BUDGET = "budget_usd"
_MAX_BUDGET_USD = Decimal(10_000)
_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?\Z")
_RULE_KEYS = ("attempts", "backoff")
_RETRYABLE = tuple(one for one in FailureClass if one not in NEVER_RETRIED)
_EXAMPLE = "`{attempts: 3, backoff: 30s..10m}`"


def parse_retry(value: object) -> RetryPolicy:
    """Read a policy; classes that it does not name keep the rule of the policy below it."""
    if value == _NEVER:
        return NEVER
    if not isinstance(value, Mapping):
        raise InvalidRetry(f"must be `never`, or rules by class, like `transient: {_EXAMPLE[1:]}")
    rules: dict[FailureClass, RetryRule] = {}
    longest_wait: timedelta | None = None
    budget_usd: Decimal | None = None
    for key, rule in value.items():
        if key == _BUDGET:
            budget_usd = _money(key, rule)
            continue
        failure_class = _class_of(key)
        if failure_class is FailureClass.USAGE_LIMIT:
            longest_wait = _longest_wait(rule)
        else:
            rules[failure_class] = _rule(failure_class, rule)
    return RetryPolicy(rules=rules, longest_wait=longest_wait, budget_usd=budget_usd)


def parse_auto_continue(value: object) -> AutoContinue:
    """Read the opt-in to automatic further legs."""
    example = "`{max_turns: 3, budget_usd: 5}`"
    if not isinstance(value, Mapping):
        raise InvalidRetry(f"must be two limits, like {example}")
    unknown = sorted(str(key) for key in value if key not in {"max_turns", _BUDGET})
    if unknown:
        raise InvalidRetry(f"has the unknown key `{unknown[0][:40]}`; it is written {example}")
    if "max_turns" not in value or _BUDGET not in value:
        raise InvalidRetry(
            "needs both limits: `max_turns` (how many legs may start after the turn limit) and "
            f"`budget_usd` (what the session may cost in all), like {example}"
        )
    legs = _whole(value["max_turns"], "`max_turns`", 1, MAX_AUTOMATIC_LEGS)
    return AutoContinue(legs=legs, budget_usd=_money(_BUDGET, value[_BUDGET]))


def _class_of(key: object) -> FailureClass:
    known = next((one for one in FailureClass if one.value == key), None)
    if known is None:
        names = [*(one.value for one in _RETRYABLE), _BUDGET]
        nearest = get_close_matches(str(key), names, n=1)
        hint = f"did you mean `{nearest[0]}`? " if nearest else ""
        raise InvalidRetry(
            f"`{str(key)[:40]}` is no class; {hint}Known: {', '.join(sorted(names))}"
        )
    if known in NEVER_RETRIED:
        raise InvalidRetry(f"`{known}` cannot be tried again: {NEVER_RETRIED[known]}; remove it")
    return known


def _rule(failure_class: FailureClass, value: object) -> RetryRule:
    if value == _NEVER:
        return NO_RETRY
    below = DEFAULT_POLICY.rules.get(failure_class, RetryRule(attempts=1))
    if not isinstance(value, Mapping):
        raise InvalidRetry(f"`{failure_class}` must be `never`, or limits, like {_EXAMPLE}")
    unknown = sorted(str(key) for key in value if key not in _RULE_KEYS)
    if unknown:
        raise InvalidRetry(
            f"`{failure_class}` has the unknown key `{unknown[0][:40]}`; it is written {_EXAMPLE}"
        )
    attempts = below.attempts
    if "attempts" in value:
        attempts = _whole(
            value["attempts"], f"`attempts` of `{failure_class}`", 0, MAX_FURTHER_ATTEMPTS
        )
    if "backoff" not in value:
        return RetryRule(attempts=attempts, first=below.first, longest=below.longest)
    if failure_class in WITHOUT_PAUSE:
        raise InvalidRetry(f"`{failure_class}` has no `backoff`: the next attempt begins at once")
    first, longest = _backoff(failure_class, value["backoff"])
    return RetryRule(attempts=attempts, first=first, longest=longest)


def _backoff(failure_class: FailureClass, value: object) -> tuple[timedelta, timedelta]:
    problem = (
        f"`backoff` of `{failure_class}` must be the first and the longest pause, from 1s to "
        f"{MAX_BACKOFF.total_seconds() / 3600:.0f}h, like `30s..10m`"
    )
    text = value if isinstance(value, str) else ""
    first_text, dots, longest_text = text.partition("..")
    first, longest = _duration(first_text), _duration(longest_text if dots else first_text)
    if first is None or longest is None:
        raise InvalidRetry(problem)
    if not timedelta(seconds=1) <= first <= longest <= MAX_BACKOFF:
        raise InvalidRetry(problem)
    return first, longest


def _longest_wait(value: object) -> timedelta:
    """The longest wait for a reset: `wait`, `never`, or `{wait: 12h}`."""
    if value == _WAIT:
        return DEFAULT_POLICY.longest_wait or timedelta(0)
    if value == _NEVER:
        return timedelta(0)
    problem = (
        "`usage_limit` must be `wait`, `never`, or the longest wait, from 1m to "
        f"{MAX_WAIT.days}d, like `{{wait: 12h}}`"
    )
    if not isinstance(value, Mapping) or set(value) != {_WAIT}:
        raise InvalidRetry(problem)
    wait = _duration(value[_WAIT])
    if wait is None or not timedelta(minutes=1) <= wait <= MAX_WAIT:
        raise InvalidRetry(problem)
    return wait


def _duration(value: object) -> timedelta | None:
    found = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _whole(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidRetry(f"{name} must be a whole number from {least} to {most}")
    return value


def _money(name: str, value: object) -> Decimal:
    problem = f"`{name}` must be US dollars, more than 0 and at most {_MAX_BUDGET_USD}, like `2.50`"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidRetry(problem)
    try:
        amount = Decimal(str(value))
    except InvalidOperation as error:
        raise InvalidRetry(problem) from error
    if not amount.is_finite() or not 0 < amount <= _MAX_BUDGET_USD:
        raise InvalidRetry(problem)
    return amount
