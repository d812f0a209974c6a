"""The decision about another attempt: bounded in number, money and time, with its numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.words.failures.retries import decision_words
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import (
    MIN_HISTORY,
    RetryAction,
    RetryFacts,
    RetryHistory,
    RetryReason,
    decide,
)
from core.domain.failures.retry_policy import (
    DEFAULT_POLICY,
    MAX_ATTEMPTS_IN_ALL,
    MAX_WAITS,
    NEVER,
    NEVER_RETRIED,
    RetryPolicy,
    RetryRule,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MONEY = st.decimals(0, 100, places=4)
PAUSES = st.integers(1, 3600).map(lambda seconds: timedelta(seconds=seconds))
RULES = st.builds(
    lambda attempts, first, more: RetryRule(attempts=attempts, first=first, longest=first + more),
    st.integers(0, 10),
    PAUSES,
    PAUSES,
)
POLICIES = st.builds(
    RetryPolicy,
    rules=st.dictionaries(st.sampled_from(FailureClass), RULES),
    longest_wait=st.none() | PAUSES,
    budget_usd=st.none() | MONEY,
)
HISTORIES = st.lists(st.booleans(), max_size=20).map(RetryHistory.of)
FACTS = st.builds(
    RetryFacts,
    failure_class=st.sampled_from(FailureClass),
    attempt=st.integers(1, 30),
    retries_before=st.integers(0, 12),
    cost_usd=st.none() | MONEY,
    has_answers=st.booleans(),
    budget_usd=st.none() | MONEY,
    resets_at=st.none()
    | st.integers(-3600, 7200).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    is_kill_requested=st.booleans(),
    history=HISTORIES,
)
SHARES = st.floats(0, 1, exclude_max=True)


@given(FACTS, POLICIES, SHARES)
def test_another_attempt_keeps_every_limit(
    facts: RetryFacts, policy: RetryPolicy, share: float
) -> None:
    decision = decide(facts, policy, now=NOW, share=share)

    assert decision.is_tried_again == (decision.retry_at is not None)
    if decision.retry_at is None:
        assert decision.action is RetryAction.STOP
        return
    rule, ceilings = policy.rule(facts.failure_class), (policy.budget_usd, facts.budget_usd)
    assert not facts.is_kill_requested
    assert facts.failure_class not in NEVER_RETRIED
    assert facts.attempt < MAX_ATTEMPTS_IN_ALL
    assert all(one is None or facts.cost_usd is None or facts.cost_usd < one for one in ceilings)
    if facts.failure_class is FailureClass.USAGE_LIMIT:
        assert decision.action is RetryAction.WAIT
        assert facts.retries_before < MAX_WAITS
        assert facts.resets_at is not None
        assert policy.longest_wait is not None
        assert facts.resets_at <= NOW + policy.longest_wait
        assert decision.retry_at >= max(facts.resets_at, NOW)
        assert decision.retry_at - max(facts.resets_at, NOW) <= timedelta(minutes=1, seconds=1)
    else:
        assert facts.retries_before < rule.attempts
        assert NOW <= decision.retry_at <= NOW + rule.longest


@given(FACTS, POLICIES, SHARES)
def test_a_decision_is_told_with_its_numbers(
    facts: RetryFacts, policy: RetryPolicy, share: float
) -> None:
    decision = decide(facts, policy, now=NOW, share=share)

    words = decision_words(decision)

    assert words.endswith(".")
    if decision.reason is RetryReason.NEVER_HELPED:
        assert f"0 of the last {MIN_HISTORY}" in words
    if decision.action is RetryAction.RETRY:
        assert f"{facts.retries_before + 1} of {policy.rule(facts.failure_class).attempts}" in words


@given(st.integers(0, 40), RULES)
def test_pauses_double_up_to_the_longest(before: int, rule: RetryRule) -> None:
    limit = rule.pause_limit(before)

    doubled = rule.first.total_seconds() * 2**before
    assert limit.total_seconds() == min(doubled, rule.longest.total_seconds())


OVERLOADED = RetryFacts(
    failure_class=FailureClass.OVERLOADED, attempt=1, cost_usd=Decimal(1), history=RetryHistory()
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, RetryReason.RULE),
        ({"retries_before": 4}, RetryReason.ATTEMPTS_USED),
        ({"budget_usd": Decimal(1)}, RetryReason.BUDGET_USED),
        ({"budget_usd": Decimal(1), "cost_usd": None}, RetryReason.RULE),
        ({"history": RetryHistory(tried=8, helped=0)}, RetryReason.NEVER_HELPED),
        ({"history": RetryHistory(tried=7, helped=0)}, RetryReason.RULE),
        ({"history": RetryHistory(tried=8, helped=1)}, RetryReason.RULE),
        ({"is_kill_requested": True}, RetryReason.KILL_REQUESTED),
        ({"failure_class": FailureClass.REFUSAL}, RetryReason.DETERMINISTIC),
        ({"failure_class": FailureClass.AGENT_CRASH}, RetryReason.SWITCHED_OFF),
        ({"failure_class": FailureClass.USAGE_LIMIT}, RetryReason.RESET_UNKNOWN),
        (
            {
                "failure_class": FailureClass.USAGE_LIMIT,
                "resets_at": NOW + timedelta(hours=6, seconds=1),
            },
            RetryReason.RESET_TOO_LATE,
        ),
        (
            {
                "failure_class": FailureClass.USAGE_LIMIT,
                "resets_at": NOW + timedelta(hours=5),
                # What other runs met says nothing about a reset that the API has named.
                "history": RetryHistory(tried=8, helped=0),
            },
            RetryReason.RESET_KNOWN,
        ),
    ],
)
def test_the_default_policy(changes: dict[str, object], reason: RetryReason) -> None:
    facts = replace(OVERLOADED, **changes)  # type: ignore[arg-type]

    assert decide(facts, DEFAULT_POLICY, now=NOW, share=0.5).reason is reason


def test_an_unknown_cost_stops_only_where_somebody_has_set_a_ceiling() -> None:
    facts = replace(OVERLOADED, cost_usd=None)
    bounded = RetryPolicy(budget_usd=Decimal(5)).over(DEFAULT_POLICY)

    assert decide(facts, DEFAULT_POLICY, now=NOW, share=0).is_tried_again
    assert decide(facts, bounded, now=NOW, share=0).reason is RetryReason.COST_UNKNOWN
    assert decide(replace(facts, has_answers=False), bounded, now=NOW, share=0).is_tried_again


def test_the_rules_of_a_workflow_are_over_those_of_the_installation() -> None:
    own = RetryPolicy(rules={FailureClass.OVERLOADED: RetryRule(attempts=1)})

    policy = own.over(DEFAULT_POLICY)

    assert policy.rule(FailureClass.OVERLOADED).attempts == 1
    assert policy.rule(FailureClass.TRANSIENT) == DEFAULT_POLICY.rule(FailureClass.TRANSIENT)
    assert policy.longest_wait == DEFAULT_POLICY.longest_wait


def test_never_switches_everything_off_but_the_rescue_of_lost_workers() -> None:
    policy = NEVER.over(DEFAULT_POLICY)

    tried = [one for one in FailureClass if policy.rule(one).attempts]

    assert tried == [FailureClass.WORKER_LOST]
    assert policy.longest_wait == timedelta(0)


def test_only_the_newest_retries_count_as_history() -> None:
    outcomes = [False] * MIN_HISTORY + [True] * 5

    assert RetryHistory.of(outcomes) == RetryHistory(tried=MIN_HISTORY, helped=0)
