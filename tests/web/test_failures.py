"""Failed attempts through the API: the list of a run, and what its status says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bot.cli.client.run_texts import status_text
from core.domain.actor import Role
from core.domain.failures.retry_decision import (
    RetryAction,
    RetryDecision,
    RetryHistory,
    RetryReason,
)
from core.domain.runs.run import Run
from core.runner.retrying.records import record_failure
from core.store.runs import runs
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, running_run
from tests.unit.failed_attempts import make_failed

RETRY_AT = datetime(2099, 11, 21, 12, 5, tzinfo=UTC)
FAILED = make_failed(
    turns=7,
    decision=RetryDecision(
        action=RetryAction.RETRY,
        reason=RetryReason.RULE,
        retry_at=RETRY_AT,
        retries_before=1,
        allowed=4,
        cost_usd=Decimal("0.42"),
        budget_usd=Decimal(5),
        history=RetryHistory(tried=8, helped=6),
    ),
)


async def waiting_run(api: ApiHarness) -> Run:
    """A run that waits for its second attempt."""
    run = await running_run(api.database)
    async with api.database.sessions.begin() as session:
        await record_failure(session, run, FAILED, now=NOW)
        return await runs.requeue(
            session, run.run_id, attempt=1, now=NOW + timedelta(seconds=1), retry_at=RETRY_AT
        )


async def test_the_failed_attempts_of_a_run_are_listed_with_the_numbers_that_decided(
    api: ApiHarness,
) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await waiting_run(api)

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/failures", token)

    assert reply.status == 200
    assert (reply.body["run_id"], reply.body["attempt"]) == (run.run_id, 2)
    [failure] = reply.body["failures"]
    assert failure["title"] == "The model's API is overloaded"
    assert (failure["failure_class"], failure["cause"]) == ("overloaded", "overloaded")
    assert failure["evidence"] == {"status": 529, "text": "API Error: 529 Overloaded"}
    assert (failure["advice"], failure["turns"]) == ("continue_later", 7)
    assert "wait some minutes" in failure["advice_text"]
    assert failure["retry"] == {
        "action": "retry",
        "reason": "rule",
        "summary": "Retry 2 of 4; 6 of the last 8 such retries on this workflow helped.",
        "retry_at": "2099-11-21T12:05:00Z",
        "retries_before": 1,
        "allowed": 4,
        "cost": 0.42,
        "budget_usd": 5.0,
        "history": {"tried": 8, "helped": 6},
    }


async def test_the_status_of_a_waiting_run_says_what_failed_and_when_it_goes_on(
    api: ApiHarness,
) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await waiting_run(api)

    reply = await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)
    base = await api.get(f"{CONSOLE}/run/{run.run_id}/status?enhanced=false", token)

    assert reply.body["status"] == "pending"
    assert reply.body["headline"] == "The model's API is overloaded, trying again soon"
    assert reply.body["retry_at"] == "2099-11-21T12:05:00Z"
    assert reply.body["failure"]["failure_class"] == "overloaded"
    assert reply.body["failed_attempts"] == [reply.body["failure"]]
    assert "failure" not in base.body
    # The command line says it from the same answer.
    text = status_text(reply.body)
    assert "Retry 2 of 4" in text
    assert f"`signalbox kill {run.run_id}` cancels it" in text
    assert "Attempt 1 failed" in text


async def test_a_run_that_has_not_failed_has_no_failures(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await running_run(api.database)

    listed = await api.get(f"{CONSOLE}/run/{run.run_id}/failures", token)
    status = await api.get(f"{CONSOLE}/run/{run.run_id}/status", token)

    assert listed.body["failures"] == []
    assert status.body["failure"] is None
    assert status.body["failed_attempts"] == []
