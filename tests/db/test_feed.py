"""The feed of changes: nothing is lost, however late a transaction commits or a connection ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from core.domain.feed import Change, ChangeKind, Position, Reset, ResetReason
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.run import Run, RunStatus
from core.services.context import ServiceContext
from core.services.feed import RETENTION, FeedService, Subscription
from core.services.housekeeping import HousekeepingService
from core.store import changes
from core.store.database.engine import Database
from core.store.fleet import workers
from core.store.runs import runs
from tests.database import NOW, running_run, stored_run

LATER = timedelta(minutes=10)


def feed_of(database: Database, *, poll: timedelta = LATER, max_queued: int = 1000) -> FeedService:
    return FeedService(ServiceContext(database, lambda: NOW), poll=poll, max_queued=max_queued)


async def change(database: Database, run: Run, *, turns: int = 1) -> None:
    async with database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=NOW, turns=turns)


async def take(subscription: Subscription) -> Change | Reset:
    async with asyncio.timeout(20):
        return await anext(subscription)


async def take_changes(subscription: Subscription, count: int) -> list[Change]:
    found = [await take(subscription) for _ in range(count)]
    assert all(isinstance(item, Change) for item in found), found
    return [item for item in found if isinstance(item, Change)]


@asynccontextmanager
async def started(feed: FeedService, **options: object) -> AsyncIterator[Subscription]:
    """A subscription from the present on, its first `Reset` taken."""
    async with feed.subscribe(**options) as subscription:  # type: ignore[arg-type]
        first = await take(subscription)
        assert isinstance(first, Reset)
        assert first.reason is ResetReason.STARTED
        yield subscription


async def wait_until(holds: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        # Only Postgres knows.
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


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
            done, _ = await asyncio.wait({waiting}, timeout=0.3)
            assert not done
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
            # Open for longer than the reader takes to find the change unsettled: several reads.
            await asyncio.sleep(0.2)
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


async def test_a_consumer_resumes_after_the_last_change_it_took(database: Database) -> None:
    run, other = await running_run(database), await running_run(database)
    async with started(feed_of(database)) as subscription:
        await change(database, run)
        (taken,) = await take_changes(subscription, 1)
    await change(database, other)
    await change(database, run)

    # Another process: it shares nothing with the first.
    position = Position.parse(str(taken.position))
    async with feed_of(database).subscribe(after=position) as subscription:
        missed = await take_changes(subscription, 2)
        await change(database, other)
        live = await take_changes(subscription, 1)

    assert [one.subject for one in (*missed, *live)] == [other.run_id, run.run_id, other.run_id]


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


async def test_what_a_consumer_missed_can_be_too_much(database: Database) -> None:
    run = await running_run(database)
    feed = feed_of(database, max_queued=3)
    async with started(feed) as subscription:
        await change(database, run)
        (first,) = await take_changes(subscription, 1)
    for _ in range(4):
        await change(database, run)

    async with feed.subscribe(after=first.position) as subscription:
        told = await take(subscription)

    assert isinstance(told, Reset)
    assert told.reason is ResetReason.OVERRUN


async def age_changes(database: Database) -> None:
    async with database.sessions.begin() as session:
        await session.execute(
            text("UPDATE changes SET at = at - CAST(:age AS interval)"),
            {"age": RETENTION + timedelta(minutes=1)},
        )


async def test_old_changes_are_deleted_and_whoever_would_have_needed_them_is_told(
    database: Database,
) -> None:
    run = await running_run(database)
    feed = feed_of(database)
    async with started(feed) as subscription:
        for _ in range(3):
            await change(database, run)
        first, _, last = await take_changes(subscription, 3)
    await age_changes(database)
    await change(database, run)

    deleted = await HousekeepingService(feed.context).delete_expired()

    # The last of the old ones shows up to where others were deleted.
    assert deleted.changes == 4
    async with feed.subscribe(after=first.position) as late:
        told = await take(late)
    assert isinstance(told, Reset)
    assert told.reason is ResetReason.EXPIRED
    async with feed.subscribe(after=last.position) as in_time:
        assert len(await take_changes(in_time, 1)) == 1


async def test_a_position_of_another_database_is_known(database: Database) -> None:
    feed = feed_of(database)
    async with started(feed) as subscription:
        await stored_run(database)
        (here,) = await take_changes(subscription, 1)
    elsewhere = replace(here.position, epoch="00000000")
    to_come = replace(here.position, transaction=here.position.transaction + 10**6)

    for position in (elsewhere, to_come):
        async with feed.subscribe(after=position) as subscription:
            told = await take(subscription)
            assert isinstance(told, Reset)
            assert told.reason is ResetReason.OTHER_DATABASE
            assert told.position.epoch == here.position.epoch


async def test_rows_of_a_restored_dump_hold_nothing_up_and_go_in_time(database: Database) -> None:
    run = await running_run(database)
    feed = feed_of(database)
    async with started(feed) as subscription:
        async with database.sessions.begin() as session:
            await session.execute(
                text(
                    "INSERT INTO changes (transaction, at, kind, subject, what)"
                    " VALUES ('9000000000', now() - interval '2 days', 'run', 'old', 'added')"
                )
            )
        await change(database, run)
        (only,) = await take_changes(subscription, 1)

    assert only.subject == run.run_id
    assert (await HousekeepingService(feed.context).delete_expired()).changes == 1


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
        page = await changes.read_after(session, bounds.horizon, limit=1)
        await session.rollback()

    assert not page.changes
