"""Admission: which waiting runs get a job, when, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.domain.fleet.workers import Caps, QueueReason, WorkerRecord, WorkerState
from core.domain.runs.run import Run, RunStatus, StopReason
from core.queue.jobs import Job
from core.runner.execution.ledgers.ledger import Ledger
from core.services.context import ServiceContext
from core.services.fleet import admission
from core.services.fleet.admission import AdmissionService, admit
from core.services.runs import snapshots
from core.store import users
from core.store.database.engine import Database
from core.store.fleet import caps as cap_rows
from core.store.fleet import pending, workers
from core.store.runs import run_queries, runs
from tests.database import NOW, running_run, stored_run
from tests.fakes.queue import running_worker, wait_until
from tests.limits import limit

LATER = NOW + timedelta(seconds=90)


def context_of(database: Database) -> ServiceContext:
    return ServiceContext(database, lambda: NOW)


async def admission_with_caps(database: Database, **caps: int) -> AdmissionService:
    service = AdmissionService(context_of(database))
    await service.set_caps(Caps(**caps))
    return service


async def make_user(database: Database, name: str) -> UUID:
    async with database.sessions.begin() as session:
        user = await users.ensure(
            session, slack_team_id="T1", slack_user_id=f"U{name}", name=name, now=NOW
        )
        return user.id


async def admitted(database: Database) -> list[str]:
    async with database.sessions.begin() as session:
        return [run.run_id for run in await admit(session, now=NOW)]


async def reload(database: Database, run: Run) -> Run:
    async with database.sessions() as session:
        return await run_queries.get(session, run.run_id)


async def jobs_of(database: Database) -> list[str]:
    async with database.sessions() as session:
        found = await session.scalars(
            text("SELECT args->>'run_id' FROM procrastinate.procrastinate_jobs ORDER BY id")
        )
        return list(found)


async def finish(database: Database, run: Run) -> None:
    async with database.sessions.begin() as session:
        await runs.finish(
            session, run.run_id, attempt=run.attempt, stop_reason=StopReason.SUCCESS, now=NOW
        )
        await admit(session, now=NOW)


async def test_without_caps_all_waiting_runs_are_admitted_in_order(
    database: Database,
) -> None:
    late = await stored_run(database, created_at=LATER)
    early = await stored_run(database)
    urgent = await stored_run(database, created_at=LATER, priority=5)

    assert await admitted(database) == [urgent.run_id, early.run_id, late.run_id]
    assert await admitted(database) == []
    assert (await reload(database, early)).job_id is not None


async def test_a_run_over_a_cap_waits_with_its_reason(database: Database) -> None:
    ann, bob = await make_user(database, "ann"), await make_user(database, "bob")
    await admission_with_caps(database, fleet=3, repository=2, person=1)
    first = await stored_run(database, user_id=ann, git_repo="https://example.org/a")
    second = await stored_run(
        database, user_id=ann, git_repo="https://example.org/b", created_at=LATER
    )
    third = await stored_run(database, git_repo="https://example.org/a.git", created_at=LATER)
    fourth = await stored_run(
        database,
        user_id=bob,
        git_repo="git@Example.org:a",
        created_at=LATER + timedelta(seconds=1),
    )
    fifth = await stored_run(database, created_at=LATER + timedelta(seconds=2))
    sixth = await stored_run(database, created_at=LATER + timedelta(seconds=3))

    got = await admitted(database)

    # The fourth run, whose repository is at its cap, does not hold back the fifth.
    assert set(got) == {first.run_id, third.run_id, fifth.run_id}
    reasons = [(await reload(database, run)).queue_reason for run in (second, fourth, sixth)]
    assert reasons == [QueueReason.PERSON, QueueReason.REPOSITORY, QueueReason.FLEET]
    assert (await reload(database, first)).queue_reason is None


async def test_the_end_of_a_run_admits_the_next_in_the_same_transaction(database: Database) -> None:
    running = await running_run(database)
    await admission_with_caps(database, fleet=1)
    waiting = await stored_run(database, created_at=LATER)
    assert await admitted(database) == []

    await finish(database, running)

    now = await reload(database, waiting)
    assert now.job_id is not None
    assert now.queue_reason is None


async def test_an_end_that_is_rolled_back_admits_nothing(database: Database) -> None:
    running = await running_run(database)
    await admission_with_caps(database, fleet=1)
    waiting = await stored_run(database, created_at=LATER)

    async with database.sessions() as session:
        await runs.finish(
            session, running.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW
        )
        assert len(await admit(session, now=NOW)) == 1
        await session.rollback()

    assert (await reload(database, waiting)).job_id is None
    assert (await reload(database, running)).status is RunStatus.RUNNING
    assert await jobs_of(database) == []


async def test_a_requeued_run_goes_first_and_ignores_the_caps(database: Database) -> None:
    running = await running_run(database)
    await admission_with_caps(database, fleet=1)
    urgent = await stored_run(database, priority=50, created_at=NOW - timedelta(seconds=9))
    ledger = Ledger(context_of(database), "w1", "h")

    again = await ledger.requeue(running, reason="its worker was lost")

    assert again.job_id is not None
    assert again.attempt == 2
    assert (await reload(database, urgent)).queue_reason is QueueReason.FLEET


async def test_a_requeued_runs_job_precedes_new_jobs_of_its_priority(
    database: Database,
) -> None:
    running = await running_run(database)
    new = await stored_run(database, created_at=NOW - timedelta(seconds=9))
    urgent = await stored_run(database, priority=1, created_at=LATER)
    await admitted(database)
    await Ledger(context_of(database), "w1", "h").requeue(running, reason="its worker was lost")
    begun: list[str] = []

    async def record_job(job: Job) -> None:
        begun.append(job.run_id)

    async with running_worker(database.dsn, record_job, slots=1):
        await wait_until(lambda: len(begun) == 3)

    assert begun == [urgent.run_id, running.run_id, new.run_id]


async def test_a_higher_cap_admits_more_at_once_and_a_lower_one_ends_nothing(
    database: Database,
) -> None:
    await admission_with_caps(database, fleet=1)
    waiting = [await stored_run(database, created_at=NOW + timedelta(seconds=n)) for n in range(4)]
    assert await admitted(database) == [waiting[0].run_id]

    await admission_with_caps(database, fleet=3)
    assert await jobs_of(database) == [run.run_id for run in waiting[:3]]

    await admission_with_caps(database, fleet=2)
    async with database.sessions.begin() as session:
        begun = await runs.begin(session, waiting[0].run_id, attempt=1, worker_id="w1", now=NOW)
    await finish(database, begun)
    assert (await reload(database, waiting[3])).job_id is None

    await admission_with_caps(database)
    assert (await reload(database, waiting[3])).job_id is not None


async def test_caps_are_shared_and_an_omitted_cap_is_removed(database: Database) -> None:
    await admission_with_caps(database, fleet=6, person=2)
    await admission_with_caps(database, fleet=5, repository=3)

    async with database.sessions() as session:
        assert await cap_rows.read(session) == Caps(fleet=5, repository=3)


async def test_admission_skips_a_run_that_another_transaction_is_changing(
    database: Database,
) -> None:
    await admission_with_caps(database, fleet=1)
    locked = await stored_run(database)
    other = await stored_run(database, created_at=LATER)

    async with database.sessions.begin() as session:
        await runs.request_kill(session, locked.run_id, now=NOW)
        async with limit(5):
            # It neither waits for the row's lock nor admits another run instead.
            assert await admitted(database) == []
        await runs.finish(
            session, locked.run_id, attempt=None, stop_reason=StopReason.KILLED, now=NOW
        )
        admitted_runs = await admit(session, now=NOW)

    assert [run.run_id for run in admitted_runs] == [other.run_id]


async def test_a_transaction_that_freezes_with_the_admission_lock_loses_it(
    database: Database,
) -> None:
    await admission_with_caps(database, fleet=1)
    waiting = await stored_run(database)
    admitted_runs: list[str] = []

    async def freeze() -> None:
        async with database.sessions.begin() as frozen:
            await pending.lock_admission(frozen)
            async with limit(12):
                admitted_runs.extend(await admitted(database))

    with pytest.raises(DBAPIError):
        await freeze()

    assert admitted_runs == [waiting.run_id]


async def test_the_queue_position_counts_runs_with_and_without_a_job(database: Database) -> None:
    ann = await make_user(database, "ann")
    await admission_with_caps(database, person=1)
    old = await stored_run(database, user_id=ann)
    older = await stored_run(database, user_id=ann, created_at=NOW - timedelta(seconds=1))
    young = await stored_run(database, created_at=LATER)
    urgent = await stored_run(database, created_at=LATER, priority=1, user_id=ann)
    killed = await stored_run(database, created_at=NOW - timedelta(seconds=5))
    async with database.sessions.begin() as session:
        await runs.request_kill(session, killed.run_id, now=NOW)
        await admit(session, now=NOW)

    async with database.sessions() as session:
        in_order = (urgent, young, older, old, killed)
        found = [await pending.queue_position(session, run.run_id) for run in in_order]
        listed = await pending.positions(session)

    # A worker can take the young run at any time, unlike the older runs before it.
    assert found == [1, 2, 3, 4, None]
    assert list(listed) == [run.run_id for run in in_order[:-1]]


async def test_the_queue_reason_has_the_present_counts(database: Database) -> None:
    ann = await make_user(database, "ann")
    for _ in range(2):
        await running_run(database, user_id=ann)
    await admission_with_caps(database, person=2)
    waiting = await stored_run(database, user_id=ann)
    await admitted(database)

    async with database.sessions() as session:
        held = await run_queries.get(session, waiting.run_id)
        [hold] = (await admission.current_holds(session, [held])).values()

    assert (hold.reason, hold.in_use, hold.cap) == (QueueReason.PERSON, 2, 2)


async def test_the_poll_admits_runs_after_a_lost_call(database: Database) -> None:
    service = await admission_with_caps(database, fleet=5)
    left = await stored_run(database)

    assert [run.run_id for run in await service.admit_waiting()] == [left.run_id]


async def test_only_cards_whose_queue_position_changed_are_redrawn(database: Database) -> None:
    running = await running_run(database)
    service = await admission_with_caps(database, fleet=1)
    waiting = [await stored_run(database, created_at=NOW + timedelta(seconds=n)) for n in range(25)]

    async def versions() -> list[int]:
        return [(await reload(database, run)).version for run in waiting]

    await service.admit_waiting()
    first = await versions()
    await service.admit_waiting()
    assert await versions() == first

    await finish(database, running)
    async with database.sessions.begin() as session:
        await runs.begin(session, waiting[0].run_id, attempt=1, worker_id="w1", now=NOW)
    before = await versions()
    await service.admit_waiting()
    moved = [now - then for now, then in zip(await versions(), before, strict=True)]

    # The head and the run that becomes visible; the others were updated a moment ago.
    assert [index for index, count in enumerate(moved) if count] == [1, 2, 3, 20]


async def test_a_waiting_run_shows_whether_a_worker_is_available(database: Database) -> None:
    waiting = await stored_run(database)
    now = datetime.now(UTC)
    worker = WorkerRecord(
        worker_id="n:1",
        node="n",
        host="h",
        slots=4,
        state=WorkerState.UP,
        started_at=now,
        heartbeat_at=now,
    )

    async def has_available_worker(**changes: Any) -> bool:
        async with database.sessions.begin() as session:
            await workers.record_heartbeat(session, replace(worker, **changes))
            [seen] = await snapshots.of_runs(session, [waiting])
            return seen.has_available_worker

    async with database.sessions() as session:
        [alone] = await snapshots.of_runs(session, [waiting])
    assert not alone.has_available_worker
    assert await has_available_worker()
    assert not await has_available_worker(state=WorkerState.DRAINING)
    assert not await has_available_worker(heartbeat_at=now - timedelta(minutes=1))
