"""Changes of a run's status: compare-and-set, fenced by the attempt number."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.domain.runs.errors import IllegalTransition, StaleAttempt
from core.domain.runs.run import RunStatus, StopReason, WaitingOn
from core.store.database.engine import Database
from core.store.runs import runs
from tests.database import NOW, running_run, stored_run
from tests.db.run_fields import DIFF, LATER


async def test_begin_keeps_the_first_start(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        requeued = await runs.requeue(session, run.run_id, attempt=1, now=LATER)
    async with database.sessions.begin() as session:
        again = await runs.begin(session, run.run_id, attempt=2, worker_id="w2", now=LATER)

    assert (requeued.status, requeued.attempt, requeued.worker_id, requeued.job_id) == (
        RunStatus.PENDING,
        2,
        None,
        None,
    )
    assert (again.status, again.started_at, again.worker_id) == (RunStatus.RUNNING, NOW, "w2")


async def test_begin_refuses_a_run_with_a_kill_request(database: Database) -> None:
    run = await stored_run(database)
    async with database.sessions.begin() as session:
        record_kill = await runs.request_kill(session, run.run_id, now=NOW)
        again = await runs.request_kill(session, run.run_id, now=LATER)

    async with database.sessions() as session:
        with pytest.raises(IllegalTransition):
            await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=LATER)
    assert record_kill.kill_requested_at == again.kill_requested_at == NOW


async def test_finish_writes_the_whole_end(database: Database) -> None:
    run = await running_run(database, waiting_on=WaitingOn.BUDGET)

    async with database.sessions.begin() as session:
        ended = await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.SUCCESS,
            now=LATER,
            result="All done\x00",
            diff=DIFF,
            turns=4,
        )

    assert ended.status is RunStatus.COMPLETED
    assert ended.stop_reason is StopReason.SUCCESS
    assert ended.result == "All done\ufffd"
    assert (ended.completed_at, ended.duration) == (LATER, timedelta(seconds=90))
    assert (ended.waiting_on, ended.diff, ended.turns) == (None, DIFF, 4)


async def test_a_final_status_never_changes(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)

    async with database.sessions() as session:
        with pytest.raises(IllegalTransition) as refused:
            await runs.finish(
                session, run.run_id, attempt=None, stop_reason=StopReason.KILLED, now=LATER
            )
        with pytest.raises(IllegalTransition):
            await runs.request_kill(session, run.run_id, now=LATER)
        with pytest.raises(IllegalTransition):
            await runs.requeue(session, run.run_id, attempt=1, now=LATER)
        with pytest.raises(StaleAttempt):
            await runs.change(session, run.run_id, now=LATER, attempt=1, turns=9)
    assert refused.value.present is RunStatus.COMPLETED


async def test_a_pending_run_is_killed_without_an_attempt(database: Database) -> None:
    run = await stored_run(database)

    async with database.sessions.begin() as session:
        killed = await runs.finish(
            session, run.run_id, attempt=None, stop_reason=StopReason.KILLED, now=LATER
        )

    assert (killed.status, killed.duration) == (RunStatus.KILLED, None)


async def test_only_a_kill_ends_any_attempt(database: Database) -> None:
    run = await running_run(database)

    async with database.sessions() as session:
        with pytest.raises(ValueError, match="attempt"):
            await runs.finish(
                session, run.run_id, attempt=None, stop_reason=StopReason.TIMEOUT, now=NOW
            )


async def test_a_lost_worker_cannot_write(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.requeue(session, run.run_id, attempt=1, now=NOW)
        await runs.begin(session, run.run_id, attempt=2, worker_id="w2", now=NOW)

    async with database.sessions() as session:
        with pytest.raises(StaleAttempt):
            await runs.change(session, run.run_id, now=LATER, attempt=1, turns=9)
        with pytest.raises(StaleAttempt):
            await runs.requeue(session, run.run_id, attempt=1, now=LATER)
        with pytest.raises(StaleAttempt):
            await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=LATER)
        with pytest.raises(StaleAttempt):
            await runs.finish(
                session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=LATER
            )
        present = await runs.change(session, run.run_id, now=LATER, attempt=2, turns=1)
    assert present.turns == 1
