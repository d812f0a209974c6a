"""Runs that wait to be tried again, and what threads and details say of failed attempts."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.views.details import details_view
from bot.slack.views.thread.card import run_card
from bot.slack.views.thread.replies import replies
from bot.words.failures.retries import LEG_REFUSALS, decision_words
from bot.words.markup import PLAIN
from bot.words.runs.states import state_of
from core.domain.failure_cause import FailureCause
from core.domain.failures.automatic_leg import (
    AUTOMATIC_LEG_KEY,
    AutomaticLeg,
    LegRefusal,
    refusal_metadata,
)
from core.domain.failures.failed_attempt import FAILED_ATTEMPTS_KEY, FailedAttempt
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import (
    RetryAction,
    RetryDecision,
    RetryHistory,
    RetryReason,
)
from core.domain.runs.run import RunStatus, StopReason, WaitingOn
from core.domain.runs.snapshot import RunSnapshot
from tests.unit.failed_attempts import make_failed
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    NOW,
    assert_fits,
    assert_matches_snapshot,
    buttons_of,
    make_ended_run,
    make_run,
    make_snapshot,
    make_thread,
    problems_of,
    text_of,
)

SOON = NOW + timedelta(minutes=3)
RETRY = RetryDecision(
    action=RetryAction.RETRY,
    reason=RetryReason.RULE,
    retry_at=SOON,
    retries_before=1,
    allowed=4,
    history=RetryHistory(tried=8, helped=6),
)
WAIT = RetryDecision(
    action=RetryAction.WAIT, reason=RetryReason.RESET_KNOWN, retry_at=SOON, allowed=5
)
OVERLOADED = make_failed(attempt=1, at=NOW - timedelta(minutes=1), decision=RETRY)
LIMITED = make_failed(
    attempt=1,
    at=NOW - timedelta(minutes=1),
    failure_class=FailureClass.USAGE_LIMIT,
    stop_reason=StopReason.USAGE_LIMIT,
    cause=FailureCause.USAGE_LIMIT,
    decision=WAIT,
    resets_at=SOON,
)


def kept(*failed: FailedAttempt) -> dict[str, Any]:
    return {FAILED_ATTEMPTS_KEY: [one.to_json() for one in failed]}


def waiting(failed: FailedAttempt, **fields: Any) -> RunSnapshot:
    is_limit = failed.decision.action is RetryAction.WAIT
    run = make_run(
        status=RunStatus.PENDING,
        attempt=2,
        retry_at=SOON,
        waiting_on=WaitingOn.USAGE_LIMIT if is_limit else None,
        worker_id=None,
        metadata=kept(failed),
    )
    return make_snapshot(run, **fields)


GIVEN_UP = make_ended_run(
    StopReason.API_ERROR,
    attempt=2,
    error_message="API Error: 529 Overloaded",
    metadata=kept(
        OVERLOADED,
        make_failed(
            attempt=2,
            at=NOW,
            decision=RetryDecision(
                action=RetryAction.STOP,
                reason=RetryReason.NEVER_HELPED,
                history=RetryHistory(tried=8, helped=0),
            ),
        ),
    ),
)


@pytest.mark.parametrize(
    ("name", "snapshot"),
    [("card_waiting_for_limit", waiting(LIMITED)), ("card_trying_again", waiting(OVERLOADED))],
)
def test_a_waiting_run_says_until_when_and_can_be_cancelled(
    name: str, snapshot: RunSnapshot
) -> None:
    card = run_card(snapshot, now=NOW)

    assert_matches_snapshot(name, card)
    assert "Cancel" in buttons_of(card)
    assert "Kill" not in buttons_of(card)
    assert problems_of(card) == []


def test_a_run_whose_time_has_come_is_queued_again() -> None:
    state = state_of(waiting(OVERLOADED, queue_position=1), PLAIN)

    assert state.title == "Queued again, next in line"
    assert "Its last attempt failed" in state.detail


def test_the_details_list_the_failed_attempts_with_the_numbers_that_decided() -> None:
    view = details_view(make_snapshot(GIVEN_UP), now=NOW)

    assert_matches_snapshot("details_failed_attempts", view)
    shown = str(view)
    assert "Failed attempts: 2" in shown
    assert "6 of the last 8 such retries on this workflow helped" in shown
    assert "0 of the last 8 retries" in shown
    assert "status: 529" in shown


def test_the_thread_tells_of_each_retry_and_why_there_is_no_further_one() -> None:
    drawn = replies(make_thread(make_snapshot(GIVEN_UP)))

    notices = text_of(drawn[f"notices:{GIVEN_UP.run_id}"])
    result = text_of(drawn[f"result:{GIVEN_UP.run_id}"])
    assert "attempt 2 failed" not in notices
    assert "attempt 1 failed: The model's API is overloaded" in notices
    assert "Not tried again: 0 of the last 8 retries" in result


def test_an_automatic_leg_says_that_nobody_started_it() -> None:
    leg = AutomaticLeg(number=1, limit=3, spent_usd=Decimal("0.42"), budget_usd=Decimal(5))
    first = make_snapshot(make_ended_run(StopReason.MAX_TURNS))
    second = make_snapshot(
        make_run(run_id="run_1a1b2c3d4e5f", metadata={AUTOMATIC_LEG_KEY: leg.to_json()}), leg=2
    )

    drawn = replies(make_thread(first, second))

    said = text_of(drawn["leg:run_1a1b2c3d4e5f"])
    assert "Continued automatically" in said
    assert "automatic leg 1 of 3, $0.42 of $5.00 spent before it" in said


@pytest.mark.parametrize("refusal", LegRefusal)
def test_a_run_says_why_it_was_not_continued_automatically(refusal: LegRefusal) -> None:
    ended = make_ended_run(StopReason.MAX_TURNS, metadata=refusal_metadata(refusal))

    drawn = replies(make_thread(make_snapshot(ended)))

    said = text_of(drawn[f"result:{ended.run_id}"])
    assert f"Not continued automatically: {LEG_REFUSALS[refusal]}" in said


@pytest.mark.parametrize("reason", RetryReason)
def test_every_reason_has_words(reason: RetryReason) -> None:
    going_on = {RetryReason.RULE: RETRY, RetryReason.RESET_KNOWN: WAIT}
    stop = RetryDecision(action=RetryAction.STOP, reason=reason)

    words = decision_words(going_on.get(reason, stop))

    assert words[0].isupper()
    assert words.endswith(".")


@given(st.sampled_from(AWKWARD_TEXTS), st.sampled_from([RETRY, WAIT]))
def test_awkward_texts_fit(text: str, decision: RetryDecision) -> None:
    failed = make_failed(error=text, subject=text, evidence={"text": text}, decision=decision)
    failed = FailedAttempt.of_json(failed.redacted().to_json()) or failed
    snapshot = waiting(failed)

    assert_fits(run_card(snapshot, now=NOW))
    assert problems_of(run_card(snapshot, now=NOW)) == []
    for reply in replies(make_thread(snapshot)).values():
        assert problems_of(reply) == []
