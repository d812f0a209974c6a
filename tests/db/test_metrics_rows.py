"""Metrics and the database: what is read at a scrape."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import CompoundSelect, Select, text

from core.domain.fleet.attempt import AttemptRecord
from core.domain.fleet.gauges import FleetGauges
from core.domain.fleet.workers import QueueReason, WorkerRecord, WorkerState
from core.domain.kills.termination import Phase, ProcessIdentity, Termination
from core.domain.runs.run import Run, RunStatus, StopReason, WaitingOn
from core.services.context import ServiceContext
from core.services.fleet.gauges import GaugeService
from core.store import terminations
from core.store.database.engine import Database, open_database
from core.store.fleet import attempts, gauges, workers
from core.store.fleet.pending import set_queue_reasons
from core.store.runs import runs
from tests.database import NOW, missing_table, running_run, stored_run
from tests.limits import limit

LATER = NOW + timedelta(seconds=90)


async def read(database: Database, now: datetime = LATER) -> FleetGauges:
    async with database.sessions() as session:
        return await gauges.read(session, now=now)


async def finish(database: Database, run: Run, reason: StopReason = StopReason.SUCCESS) -> Run:
    async with database.sessions.begin() as session:
        return await runs.finish(
            session, run.run_id, attempt=run.attempt, stop_reason=reason, now=LATER
        )


def worker(name: str, state: WorkerState = WorkerState.UP) -> WorkerRecord:
    return WorkerRecord(
        worker_id=name,
        node=name,
        host="h",
        slots=4,
        state=state,
        started_at=NOW,
        heartbeat_at=NOW,
    )


async def test_an_empty_database_has_no_numbers(database: Database) -> None:
    found = await read(database)

    assert found == FleetGauges()


async def test_live_and_waiting_runs_are_counted_by_what_they_wait_for(database: Database) -> None:
    await finish(database, await running_run(database))
    running = await running_run(database, workflow_name="review")
    await stored_run(database)
    held = await stored_run(database, created_at=NOW + timedelta(seconds=30))
    async with database.sessions.begin() as session:
        await runs.change(session, running.run_id, now=NOW, waiting_on=WaitingOn.QUESTION)
        await set_queue_reasons(session, {held.run_id: QueueReason.PERSON})

    found = await read(database)

    assert found.live_runs == {
        (RunStatus.RUNNING, "review"): 1,
        (RunStatus.PENDING, "implement"): 2,
    }
    assert found.waiting_runs == {WaitingOn.QUESTION: 1}
    assert found.pending_runs == {None: 1, QueueReason.PERSON: 1}
    assert found.oldest_pending == timedelta(seconds=90)


async def test_a_requeued_run_waits_since_its_requeue(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.requeue(session, run.run_id, attempt=1, now=NOW + timedelta(seconds=60))

    assert (await read(database)).oldest_pending == timedelta(seconds=30)


async def test_workers_agents_kills_and_drawables_are_counted(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        for name, state in (
            ("w1", WorkerState.UP),
            ("w2", WorkerState.UP),
            ("w3", WorkerState.DRAINING),
            ("w4", WorkerState.GONE),
        ):
            await workers.record_heartbeat(session, worker(name, state))
        for attempt, ended_at in ((1, NOW), (2, None), (3, None)):
            record = AttemptRecord(
                id=uuid4(),
                run_id=run.id,
                attempt=attempt,
                worker_id="w1",
                host="h",
                started_at=NOW,
                heartbeat_at=NOW,
                ended_at=ended_at,
                agent=None if attempt == 3 else ProcessIdentity(pid=1, started_ticks=1),
            )
            await attempts.add(session, record)
        kill = Termination(id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=NOW)
        await terminations.open_or_join(session, kill)
        await terminations.advance(session, kill.id, Phase.UNCONFIRMED, now=NOW)

    found = await read(database)

    assert found.workers == {WorkerState.UP: 2, WorkerState.DRAINING: 1, WorkerState.GONE: 1}
    assert found.slots == 8
    assert found.agent_processes == 1
    assert found.open_kills == {Phase.UNCONFIRMED: 1}
    assert found.outdated_drawables == {"thread": 1}


async def plan_of(
    database: Database, query: Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]
) -> str:
    async with database.engine.connect() as connection:
        sql = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        explained = await connection.exec_driver_sql(f"EXPLAIN {sql}")
        return "\n".join(explained.scalars())


async def test_the_cost_of_a_scrape_does_not_grow_with_ended_runs(database: Database) -> None:
    run = await running_run(database)
    await finish(database, run)
    copied = (
        "INSERT INTO workflow_runs (run_id, workflow_name, task_input, session_id, status,"
        " stop_reason, completed_at, created_at) SELECT 'old_' || n, 'implement', 't', session_id,"
        " 'completed', 'success', completed_at, created_at"
        " FROM workflow_runs, generate_series(1, 20000) n"
    )
    old_attempts = (
        "INSERT INTO workflow_processes (id, run_id, attempt, worker_id, host, started_at,"
        " heartbeat_at, ended_at, agent_pid) SELECT gen_random_uuid(), id, 1, 'w', 'h', created_at,"
        " created_at, created_at, 1 FROM workflow_runs"
    )
    old_kills = (
        "INSERT INTO terminations (id, run_id, phase, requested_at, requested_from, force)"
        " SELECT gen_random_uuid(), id, 'confirmed', created_at, 'slack', false FROM workflow_runs"
    )
    old_drawables = (
        "INSERT INTO drawables (kind, key, team_id, desired_version, drawn_version, is_live)"
        " SELECT 'thread', n::text, 'T1', 5, 5, false FROM generate_series(1, 20000) n"
    )
    tables = ("workflow_runs", "workflow_processes", "terminations", "drawables")
    async with database.sessions.begin() as session:
        for statement in (copied, old_attempts, old_kills, old_drawables):
            await session.execute(text(statement))
        for table in tables:
            await session.execute(text(f"ANALYZE {table}"))

    plan = await plan_of(database, gauges.live_runs_query())
    plan += await plan_of(database, gauges.open_rows_query())

    assert [table for table in tables if f"Seq Scan on {table}" in plan] == [], plan
    # One of the two partial indexes of live runs.
    assert "workflow_runs_live" in plan


async def test_one_read_serves_several_scrapes(database: Database) -> None:
    now = NOW
    service = GaugeService(ServiceContext(database, lambda: now), max_age=timedelta(seconds=5))
    first = await service.read()
    await stored_run(database)

    now = NOW + timedelta(seconds=4)
    second = await service.read()
    now = NOW + timedelta(seconds=5)
    third, fourth = await asyncio.gather(service.read(), service.read())

    assert second is first
    assert third.live_runs == {(RunStatus.PENDING, "implement"): 1}
    assert fourth is third


async def test_the_pool_tells_who_waits(database: Database) -> None:
    async with open_database(database.dsn, pool_size=1) as own:
        idle = own.pool_use
        assert idle is not None
        async with asyncio.TaskGroup() as group:
            release = asyncio.Event()

            async def hold() -> None:
                async with own.sessions() as session:
                    await session.execute(text("SELECT 1"))
                    await release.wait()

            for _ in range(idle.size + 3):
                group.create_task(hold())
            async with limit(10):
                # Six of them are waiting, too, until their connections are open.
                while (full := own.pool_use) is None or full.waiting != 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            release.set()
        after = own.pool_use

    assert (idle.in_use, idle.waiting) == (0, 0)
    assert full.in_use == full.size == 6
    assert after == replace(idle, idle=1)


async def test_a_broken_table_is_an_error_and_not_a_zero(database: Database) -> None:
    service = GaugeService(ServiceContext(database, lambda: NOW))
    async with missing_table(database, "workers"):
        with pytest.raises(Exception, match="workers"):
            await service.read()
