"""Failed attempts in a run's metadata: kept as they are, redacted, bounded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.failure_cause import FailureCause
from core.domain.failures.advice import Advice
from core.domain.failures.automatic_leg import (
    AUTOMATIC_LEG_KEY,
    AutomaticLeg,
    LegRefusal,
    next_leg,
)
from core.domain.failures.failed_attempt import (
    FAILED_ATTEMPTS_KEY,
    FailedAttempt,
    failed_attempts_of,
    last_failure_of,
    retries_after,
    with_failed_attempt,
)
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import (
    RetryAction,
    RetryDecision,
    RetryHistory,
    RetryReason,
)
from core.domain.failures.retry_policy import AutoContinue
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import SessionTotal
from core.domain.sessions.ledger import LedgerSum
from tests.unit.failed_attempts import AT, make_failed

TIMES = st.integers(0, 10**7).map(lambda seconds: AT + timedelta(seconds=seconds))
MONEY = st.none() | st.decimals(0, 1000, places=7)
DECISIONS = st.builds(
    RetryDecision,
    action=st.sampled_from(RetryAction),
    reason=st.sampled_from(RetryReason),
    retry_at=st.none() | TIMES,
    retries_before=st.integers(0, 20),
    allowed=st.integers(0, 20),
    cost_usd=MONEY,
    budget_usd=MONEY,
    longest_wait=st.none() | st.integers(0, 10**6).map(lambda one: timedelta(seconds=one)),
    history=st.builds(RetryHistory, tried=st.integers(0, 8), helped=st.integers(0, 8)),
)
FAILED = st.builds(
    FailedAttempt,
    attempt=st.integers(1, 20),
    at=TIMES,
    failure_class=st.sampled_from(FailureClass),
    stop_reason=st.sampled_from(StopReason),
    advice=st.sampled_from(Advice),
    decision=DECISIONS,
    cause=st.none() | st.sampled_from(FailureCause),
    subject=st.none() | st.text(max_size=30),
    error=st.none() | st.text(max_size=30),
    evidence=st.dictionaries(st.text(max_size=9), st.integers() | st.text(max_size=9), max_size=3),
    resets_at=st.none() | TIMES,
    turns=st.integers(0, 99),
)
RETRY = RetryDecision(action=RetryAction.RETRY, reason=RetryReason.RULE, retry_at=AT)


def make_run(*failed: FailedAttempt, **fields: Any) -> Run:
    kept = [one.to_json() for one in failed]
    values: dict[str, Any] = {"status": RunStatus.PENDING, "attempt": 2, "retry_at": AT}
    return Run(
        id=uuid4(),
        run_id="run_0123456789ab",
        workflow_name="implement",
        task_input="Work",
        created_at=AT,
        updated_at=AT,
        session_id=uuid4(),
        **(values | {"metadata": {FAILED_ATTEMPTS_KEY: kept}} | fields),
    )


@given(FAILED)
def test_what_is_stored_is_read_back(failed: FailedAttempt) -> None:
    assert FailedAttempt.of_json(failed.to_json()) == failed


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=4))
def test_anything_else_is_no_failed_attempt(stored: object) -> None:
    assert FailedAttempt.of_json(stored) is None
    assert failed_attempts_of(make_run(metadata={FAILED_ATTEMPTS_KEY: stored})) == ()


def test_a_class_of_a_newer_version_is_left_out() -> None:
    stored = make_failed().to_json() | {"class": "solar_flare"}

    assert FailedAttempt.of_json(stored) is None


def test_secrets_do_not_stay_in_what_is_kept() -> None:
    secret = "sk-ant-api03-" + "A" * 40
    failed = make_failed(error=f"key {secret}", evidence={"text": secret}, subject=secret)

    stored = with_failed_attempt(make_run(), failed)

    assert secret not in str(stored)


def test_an_attempt_is_kept_once_and_only_the_newest_are() -> None:
    run = make_run(*(make_failed(attempt=number) for number in range(1, 21)))

    again = with_failed_attempt(run, make_failed(attempt=20, error="again"))[FAILED_ATTEMPTS_KEY]
    more = with_failed_attempt(run, make_failed(attempt=21))[FAILED_ATTEMPTS_KEY]

    assert [one["attempt"] for one in again] == list(range(1, 21))
    assert again[-1]["error"] == "again"
    assert [one["attempt"] for one in more] == list(range(2, 22))


def test_only_retries_after_the_same_class_count() -> None:
    run = make_run(
        make_failed(attempt=1, decision=RETRY),
        make_failed(attempt=2, decision=RETRY, failure_class=FailureClass.TRANSIENT),
        make_failed(attempt=3, decision=RETRY),
        make_failed(attempt=4),
    )

    assert retries_after(run, FailureClass.OVERLOADED) == 2


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [
        ({}, True),
        ({"retry_at": None}, False),
        ({"status": RunStatus.RUNNING, "retry_at": None}, False),
        ({"status": RunStatus.COMPLETED, "stop_reason": StopReason.SUCCESS}, False),
        ({"status": RunStatus.KILLED, "stop_reason": StopReason.KILLED}, False),
        ({"status": RunStatus.FAILED, "stop_reason": StopReason.API_ERROR, "attempt": 1}, True),
        ({"status": RunStatus.FAILED, "stop_reason": StopReason.API_ERROR, "attempt": 2}, False),
    ],
)
def test_a_failure_is_told_of_runs_that_wait_for_it_or_ended_by_it(
    fields: dict[str, Any], is_told: bool
) -> None:
    run = make_run(make_failed(attempt=1, decision=RETRY), **fields)

    assert (last_failure_of(run) is not None) == is_told


LIMITS = AutoContinue(legs=2, budget_usd=Decimal(5))


def total(cost: str | None, unknown: int = 0) -> SessionTotal:
    return SessionTotal(
        legs=1,
        turns=3,
        spent=LedgerSum(
            reported_usd=Decimal(cost or 0), reported=int(cost is not None), unknown=unknown
        ),
    )


def test_automatic_legs_are_counted_until_their_limit() -> None:
    run = make_run()
    numbers: list[int] = []
    while isinstance(leg := next_leg(run, LIMITS, total("1")), AutomaticLeg):
        numbers.append(leg.number)
        run = replace(run, metadata={AUTOMATIC_LEG_KEY: leg.to_json()})

    assert numbers == [1, 2]
    assert leg is LegRefusal.LEGS_USED
    assert AutomaticLeg.of_run(run) is not None


@pytest.mark.parametrize(
    ("found", "refusal"),
    [
        (total("5"), LegRefusal.BUDGET_USED),
        (total(None), LegRefusal.COST_UNKNOWN),
        (total("1", unknown=1), LegRefusal.COST_UNKNOWN),
    ],
)
def test_automatic_legs_are_bounded_by_money(found: SessionTotal, refusal: LegRefusal) -> None:
    assert next_leg(make_run(), LIMITS, found) is refusal


def test_a_leg_of_a_person_begins_a_new_count() -> None:
    leg = next_leg(make_run(metadata={AUTOMATIC_LEG_KEY: "broken"}), LIMITS, total("1"))

    assert isinstance(leg, AutomaticLeg)
    assert leg.number == 1
