"""Runs that wait for their next attempt: their rows, the queue, the caps, kills, and history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import (
    HISTORY_WINDOW,
    MIN_HISTORY,
    RetryAction,
    RetryDecision,
    RetryHistory,
    RetryReason,
)
from core.domain.fleet.workers import Caps
from core.domain.kills.termination import Phase
from core.domain.runs.errors import IllegalTransition
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus, StopReason, WaitingOn
from core.domain.runs.step import Step, StepStatus
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.retrying.records import record_failure
from core.services.context import ServiceContext
from core.services.fleet.admission import AdmissionService, admit
from core.services.runs.records import RunRecordService
from core.services.runs.runs import RunService
from core.store import failures, steps
from core.store.database.engine import Database
from core.store.fleet import gauges, pending
from core.store.runs import run_queries, runs
from tests.database import running_run, stored_run
from tests.inbox_harness import BOSS, CATALOG
from tests.unit.failed_attempts import make_failed

NOW = datetime.now(UTC)
# Later than the end of the tests.
SOON = NOW + timedelta(hours=5)
RETRY = RetryDecision(action=RetryAction.RETRY, reason=RetryReason.RULE, retry_at=SOON, allowed=3)


def context_of(database: Database, now: datetime = NOW) -> ServiceContext:
    return ServiceContext(database, lambda: now)


async def begun(database: Database) -> Run:
    """A run that a worker of this machine executes."""
    run = await stored_run(database)
    found = await Ledger(context_of(database), "here-1:deadbeef", "here").begin(run.run_id, 1)
    assert found is not None
    return found


async def waiting(
    database: Database, *, retry_at: datetime = SOON, waiting_on: WaitingOn | None = None
) -> Run:
    """A run whose first attempt has failed, and whose processes are gone."""
    run = await begun(database)
    ledger = Ledger(context_of(database), "here-1:deadbeef", "here")
    await ledger.kills.record_run_gone(run)
    async with database.sessions.begin() as session:
        failed = make_failed(at=NOW, decision=replace(RETRY, retry_at=retry_at))
        await record_failure(session, run, failed, now=NOW)
        return await runs.requeue(
            session,
            run.run_id,
            attempt=1,
            now=NOW,
            retry_at=retry_at,
            waiting_on=waiting_on,
        )


async def reload(database: Database, run: Run) -> Run:
    async with database.sessions() as session:
        return await run_queries.get(session, run.run_id)


async def admitted(database: Database, now: datetime) -> list[str]:
    async with database.sessions.begin() as session:
        return [run.run_id for run in await admit(session, now=now)]


async def test_a_waiting_run_gets_a_job_only_when_its_time_has_come(database: Database) -> None:
    run = await waiting(database, waiting_on=WaitingOn.USAGE_LIMIT)

    early = await admitted(database, SOON - timedelta(seconds=1))
    still = await reload(database, run)
    on_time = await admitted(database, SOON)
    due = await reload(database, run)

    assert early == []
    assert (still.status, still.attempt, still.retry_at) == (RunStatus.PENDING, 2, SOON)
    assert still.waiting_on is WaitingOn.USAGE_LIMIT
    assert on_time == [run.run_id]
    assert (due.retry_at, due.waiting_on) == (None, None)
    assert due.job_id is not None


async def test_a_waiting_run_is_in_no_queue(database: Database) -> None:
    run = await waiting(database)
    behind = await stored_run(database)

    async with database.sessions() as session:
        positions = await pending.positions(session)
        found = await gauges.read(session, now=NOW)

    assert positions == {behind.run_id: (1, None)}
    assert run.run_id not in positions
    assert found.pending_runs == {None: 1}
    assert found.live_runs[RunStatus.PENDING, "implement"] == 2


async def test_a_waiting_run_leaves_its_place_under_a_cap_to_others(database: Database) -> None:
    run = await waiting(database)
    await AdmissionService(context_of(database)).set_caps(Caps(fleet=1))
    other = await stored_run(database)

    meanwhile = await admitted(database, NOW)
    held = await admitted(database, SOON)
    async with database.sessions.begin() as session:
        await runs.finish(
            session, other.run_id, attempt=None, stop_reason=StopReason.KILLED, now=SOON
        )
    afterwards = await admitted(database, SOON)

    assert meanwhile == [other.run_id]
    # Its own turn comes before new runs, but not beyond the cap.
    assert held == []
    assert afterwards == [run.run_id]


async def test_a_lost_worker_s_run_keeps_its_claim(database: Database) -> None:
    run = await begun(database)
    await AdmissionService(context_of(database)).set_caps(Caps(fleet=1))
    await running_run(database)

    requeued = await Ledger(context_of(database), "w1", "h").requeue(run, reason="worker lost")

    assert requeued.job_id is not None


async def test_a_kill_during_the_wait_ends_the_run_at_once(database: Database) -> None:
    run = await waiting(database, waiting_on=WaitingOn.USAGE_LIMIT)
    async with database.sessions.begin() as session:
        left = [Step(step_id=1, name="Write", status=StepStatus.IN_PROGRESS)]
        await steps.replace(session, run.id, left)

    kill = await RunService(context_of(database), CATALOG).kill(
        KillRequest(target=run.run_id), by=BOSS
    )

    ended = await reload(database, run)
    assert kill.phase is Phase.CONFIRMED
    assert (ended.status, ended.stop_reason) == (RunStatus.KILLED, StopReason.KILLED)
    assert (ended.retry_at, ended.waiting_on) == (None, None)
    assert await admitted(database, SOON + timedelta(days=1)) == []
    async with database.sessions() as session:
        [step] = await steps.of_run(session, run.id)
    assert step.status is not StepStatus.IN_PROGRESS


async def test_what_somebody_wants_ended_is_not_set_to_wait(database: Database) -> None:
    run = await begun(database)
    await RunService(context_of(database), CATALOG).kill(KillRequest(target=run.run_id), by=BOSS)

    async with database.sessions.begin() as session:
        with pytest.raises(IllegalTransition):
            await runs.requeue(session, run.run_id, attempt=1, now=NOW, retry_at=SOON)

    assert (await reload(database, run)).status is RunStatus.RUNNING


async def test_failures_are_listed_with_what_followed(database: Database) -> None:
    run = await waiting(database)

    found, listed = await RunRecordService(context_of(database)).failures(run.run_id, by=BOSS)

    assert found.id == run.id
    assert listed == [make_failed(at=NOW, decision=RETRY)]


async def test_a_repeated_record_of_an_attempt_replaces_it(database: Database) -> None:
    run = await begun(database)
    async with database.sessions.begin() as session:
        await failures.record(session, run, make_failed(error="first"))
        await failures.record(session, run, make_failed(error="second"))

        [failed] = await failures.of_run(session, run.id)

    assert failed.error == "second"


async def retried(
    database: Database,
    *,
    at: datetime,
    then: FailureClass | StopReason | None,
    workflow: str = "implement",
) -> None:
    """A run that was retried after an overloaded API, and what became of it."""
    run = await running_run(database, workflow_name=workflow)
    async with database.sessions.begin() as session:
        await failures.record(session, run, make_failed(at=at, decision=RETRY))
        if isinstance(then, FailureClass):
            later = make_failed(attempt=3, at=at, failure_class=then)
            await failures.record(session, run, later)
        reason = then if isinstance(then, StopReason) else StopReason.API_ERROR
        if then is not None:
            await runs.finish(session, run.run_id, attempt=1, stop_reason=reason, now=at)


async def history(database: Database) -> RetryHistory:
    async with database.sessions() as session:
        return await failures.history(session, "implement", FailureClass.OVERLOADED, now=NOW)


async def test_history_counts_what_became_of_retries(database: Database) -> None:
    just_now = NOW - timedelta(minutes=1)
    await retried(database, at=just_now, then=FailureClass.OVERLOADED)
    await retried(database, at=just_now, then=FailureClass.MAX_TURNS)
    await retried(database, at=just_now, then=StopReason.SUCCESS)
    # These say nothing.
    await retried(database, at=just_now, then=StopReason.KILLED)
    await retried(database, at=just_now, then=None)
    await retried(database, at=just_now, then=StopReason.SUCCESS, workflow="fix")
    too_old = NOW - HISTORY_WINDOW - timedelta(seconds=1)
    await retried(database, at=too_old, then=StopReason.SUCCESS)

    assert await history(database) == RetryHistory(tried=3, helped=2)


async def test_only_the_newest_retries_are_history(database: Database) -> None:
    await retried(database, at=NOW - timedelta(hours=2), then=StopReason.SUCCESS)
    for _ in range(MIN_HISTORY):
        await retried(database, at=NOW - timedelta(hours=1), then=FailureClass.OVERLOADED)

    found = await history(database)

    assert found.is_hopeless
    assert found == RetryHistory(tried=MIN_HISTORY, helped=0)


async def test_a_failure_without_an_agent_is_recorded_too(database: Database) -> None:
    run = await begun(database)
    ledger = Ledger(context_of(database), "here-1:deadbeef", "here")

    ended = await ledger.end_anyhow(run, StopReason.SETUP_ERROR, "Something is missing.")

    async with database.sessions() as session:
        [failed] = await failures.of_run(session, ended.id)
    assert failed.failure_class is FailureClass.SETUP
    assert failed.error == "Something is missing."
    assert failed.decision.reason is RetryReason.SWITCHED_OFF
