"""Positions in the feed: where a consumer resumes, and when it must read everything again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import text

from core.domain.feed import Position, Reset, ResetReason
from core.services.feed import RETENTION
from core.services.housekeeping import HousekeepingService
from core.store import changes
from core.store.database.engine import Database
from tests.database import running_run, stored_run
from tests.feed import change, feed_of, started, take, take_changes


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


async def test_old_changes_are_deleted_and_a_consumer_that_needs_them_is_told(
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


async def test_changes_come_in_the_order_of_transaction_numbers_not_of_their_digits(
    database: Database,
) -> None:
    async with database.sessions.begin() as session:
        for number in ("99", "100", "9"):
            await session.execute(
                text(
                    "INSERT INTO changes (transaction, kind, subject, what)"
                    " VALUES (CAST(CAST(:number AS text) AS xid8), 'run', :number, 'added')"
                ),
                {"number": number},
            )

    start = Position(epoch="0", transaction=1, number=0)
    whole = await changes.read_after(database.reads, start, limit=10)
    first = await changes.read_after(database.reads, start, limit=2)

    assert [one.subject for one in whole.changes] == ["9", "99", "100"]
    assert [one.subject for one in first.changes] == ["9", "99"]


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
