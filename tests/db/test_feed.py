"""The feed of changes: nothing is lost, however late a transaction commits or a connection ends."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from core.domain.feed import Change, ChangeKind, Reset, ResetReason
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.run import Run, RunStatus
from core.services.feed import RETENTION
from core.store import changes
from core.store.database.engine import Database
from core.store.fleet import workers
from core.store.runs import runs
from tests.database import NOW, running_run
from tests.feed import change, feed_of, started, take, take_changes, wait_for_reads, wait_until


async def test_changes_of_runs_and_workers_say_what_happened(database: Database) -> None:
    worker = WorkerRecord(
        worker_id="w1",
        node="n",
        host="h",
        slots=1,
        state=WorkerState.UP,
        program_version="1",
        started_at=NOW,
        heartbeat_at=NOW,
    )
    async with started(feed_of(database)) as subscription:
        run = await running_run(database)
        await change(database, run)
        async with database.sessions.begin() as session:
            await runs.request_kill(session, run.run_id, now=NOW)
        for state in (WorkerState.UP, WorkerState.UP, WorkerState.DRAINING):
            async with database.sessions.begin() as session:
                await workers.record_heartbeat(session, replace(worker, state=state))

        came = await take_changes(subscription, 6)

    assert [(one.kind, one.subject, one.what) for one in came] == [
        (ChangeKind.RUN, run.run_id, "added"),
        (ChangeKind.RUN, run.run_id, RunStatus.RUNNING),
        (ChangeKind.RUN, run.run_id, "progress"),
        (ChangeKind.RUN, run.run_id, "kill_requested"),
        (ChangeKind.WORKER, "w1", WorkerState.UP),
        (ChangeKind.WORKER, "w1", WorkerState.DRAINING),
    ]
    assert [one.position for one in came] == sorted(one.position for one in came)


async def test_a_statement_that_changes_nothing_seen_is_no_change(database: Database) -> None:
    run = await running_run(database)
    async with started(feed_of(database)) as subscription:
        async with database.sessions.begin() as session:
            await session.execute(text("UPDATE workflow_runs SET last_activity = 'x'"))
            await session.execute(text("UPDATE workflow_runs SET version = version + 1"))

        (only,) = await take_changes(subscription, 1)

    assert (only.subject, only.what) == (run.run_id, "progress")


async def test_a_transaction_that_commits_late_is_not_passed_over(database: Database) -> None:
    slow, fast = await running_run(database), await running_run(database)
    async with started(feed_of(database)) as subscription:
        async with database.sessions() as session:
            await runs.change(session, slow.run_id, now=NOW, turns=1)
            await change(database, fast)
            # The other one is committed, and may not be given before this one.
            waiting = asyncio.create_task(take_changes(subscription, 2), name="waiting")
            await wait_for_reads(database)
            assert not waiting.done()
            await session.commit()
        came = await waiting

    assert [one.subject for one in came] == [slow.run_id, fast.run_id]


async def test_a_change_that_waits_for_a_transaction_without_any_is_given(
    database: Database,
) -> None:
    run = await running_run(database)
    async with started(feed_of(database)) as subscription:
        async with database.sessions() as session:
            await session.execute(text("SELECT pg_current_xact_id()"))
            await change(database, run)
            await wait_for_reads(database)
            # It ends without a notification.
            await session.rollback()

        (only,) = await take_changes(subscription, 1)

    assert only.subject == run.run_id


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_many_transactions_that_commit_in_any_order_lose_nothing(
    database: Database, seed: int
) -> None:
    rng = random.Random(seed)
    of_this = [await running_run(database) for _ in range(6)]
    written: list[str] = []

    async def write(run: Run) -> None:
        for _ in range(8):
            async with database.sessions() as session:
                await runs.change(session, run.run_id, now=NOW, turns=1)
                await asyncio.sleep(rng.uniform(0, 0.02))
                if rng.random() < 0.25:
                    await session.rollback()
                    continue
                await session.commit()
                written.append(run.run_id)

    async with started(feed_of(database)) as subscription:
        async with asyncio.TaskGroup() as group:
            for run in of_this:
                group.create_task(write(run))
        came = await take_changes(subscription, len(written))
        await change(database, of_this[0])
        (last,) = await take_changes(subscription, 1)

    assert sorted(one.subject for one in came) == sorted(written)
    positions = [one.position for one in (*came, last)]
    assert positions == sorted(set(positions))


async def test_nothing_is_lost_when_the_server_ends_every_connection(database: Database) -> None:
    run = await running_run(database)
    async with started(feed_of(database)) as subscription:
        for turns in (1, 2, 3):
            async with database.sessions.begin() as session:
                await session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'signalbox-listen'"
                    )
                )
            await change(database, run, turns=turns)

        came = await take_changes(subscription, 3)

    assert [one.what for one in came] == ["progress"] * 3


async def test_without_any_hint_a_poll_brings_the_changes(database: Database) -> None:
    run = await running_run(database)
    async with started(feed_of(database, poll=timedelta(milliseconds=50))) as subscription:
        async with database.sessions.begin() as session:
            # As a replica the session fires no trigger: the row comes without a NOTIFY.
            await session.execute(text("SET LOCAL session_replication_role = replica"))
            await session.execute(
                text("INSERT INTO changes (kind, subject, what) VALUES ('run', :id, 'progress')"),
                {"id": run.run_id},
            )

        (only,) = await take_changes(subscription, 1)

    assert only.subject == run.run_id


async def test_a_subscriber_gets_what_it_asked_for(database: Database) -> None:
    feed = feed_of(database)
    run, other = await running_run(database), await running_run(database)
    async with (
        started(feed, subjects=[other.run_id]) as of_other,
        started(feed, kinds=[ChangeKind.WORKER]) as of_workers,
        started(feed) as of_all,
    ):
        await change(database, run)
        await change(database, other)
        async with database.sessions.begin() as session:
            await session.execute(
                text("INSERT INTO changes (kind, subject, what) VALUES ('worker', 'w', 'up')")
            )
        await change(database, run)
        everything = await take_changes(of_all, 4)
        (only_other,) = await take_changes(of_other, 1)
        (only_worker,) = await take_changes(of_workers, 1)
        start = everything[0].position
        async with feed.subscribe(after=start, subjects=[run.run_id]) as resumed:
            (last,) = await take_changes(resumed, 1)

    assert [one.subject for one in everything] == [run.run_id, other.run_id, "w", run.run_id]
    assert only_other == everything[1]
    assert only_worker == everything[2]
    assert last == everything[3]


async def test_a_slow_subscriber_is_told_to_look_at_everything_and_holds_up_no_other(
    database: Database,
) -> None:
    run = await running_run(database)
    feed = feed_of(database, max_queued=3)
    async with started(feed) as slow, started(feed) as quick:
        came: list[Change] = []
        for _ in range(5):
            await change(database, run)
            came += await take_changes(quick, 1)

        told = await take(slow)
        assert isinstance(told, Reset)
        assert (told.position, told.reason) == (came[3].position, ResetReason.OVERRUN)
        assert await take(slow) == came[4]


async def test_one_connection_serves_every_subscriber_and_goes_with_the_last(
    database: Database,
) -> None:
    async def listeners() -> int:
        async with database.sessions() as session:
            return int(
                await session.scalar(
                    text(
                        "SELECT count(*) FROM pg_stat_activity "
                        "WHERE application_name = 'signalbox-listen'"
                    )
                )
                or 0
            )

    async def nobody_listens() -> bool:
        return await listeners() == 0

    async def one_listens() -> bool:
        return await listeners() == 1

    feed = feed_of(database)
    async with started(feed):
        async with started(feed), started(feed):
            await wait_until(one_listens)
            assert await listeners() == 1
        assert await listeners() == 1
    await wait_until(nobody_listens)
    async with started(feed):
        await wait_until(one_listens)

    await wait_until(nobody_listens)
    assert await listeners() == 0


async def test_an_ordinary_role_can_read_the_feed(database: Database) -> None:
    async with database.sessions() as session:
        await session.execute(text("CREATE ROLE feed_reader"))
        await session.execute(text("GRANT SELECT ON changes TO feed_reader"))
        await session.execute(text("SET LOCAL ROLE feed_reader"))

        bounds = await changes.bounds(session, retention=RETENTION)
        horizon = bounds.horizon
        raw = await (await session.connection()).get_raw_connection()
        connection: Any = raw.driver_connection
        rows = await connection.fetch(
            changes.READ, str(horizon.transaction), horizon.number, None, None, 1
        )
        await session.rollback()

    assert not rows
