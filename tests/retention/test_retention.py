"""Retention over a synthetic year: nothing goes too early or too late, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import text

from benchmarks.seed.load import new_database
from core.domain.month import Month
from core.domain.retention import Removed, RetentionKind, RetentionPolicy
from core.domain.runs.work.patch import WorkPatch
from core.services.context import ServiceContext
from core.services.retention.partitions import PartitionService
from core.services.retention.retention import RetentionService
from core.store import patches
from core.store.database import migrate
from core.store.database.engine import Database, open_database
from core.store.partitions import partitions
from core.store.partitions.tables import AUDIT, EVENTS, PARTITIONED_TABLES, PartitionedTable
from tests.database import NOW, postgres_dsn, running_run
from tests.retention.interruptions import Interrupted, InterruptedContext
from tests.retention.locks import live_run, watched
from tests.retention.reference import present_rows, rows_to_keep
from tests.retention.year import Year, fill, present

__all__ = ["postgres_dsn"]

DAY = timedelta(days=1)
POLICY = RetentionPolicy(events=90 * DAY, transcripts=180 * DAY, audit=300 * DAY)


@pytest.fixture
async def yearly(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database of its own, because months of it are dropped."""
    dsn = await new_database(postgres_dsn, f"year_{uuid4().hex}")
    await asyncio.to_thread(migrate.upgrade, dsn)
    async with open_database(dsn) as database:
        yield database


def service(database: Database, year: Year, policy: RetentionPolicy = POLICY) -> RetentionService:
    return RetentionService(ServiceContext(database, lambda: year.now), policy, batch=200)


async def sizes(database: Database) -> int:
    async with database.sessions() as session:
        found: int | None = await session.scalar(
            text("SELECT pg_database_size(current_database())")
        )
    return found or 0


async def names(database: Database, table: PartitionedTable) -> list[str]:
    async with database.sessions() as session:
        return [one.name for one in await partitions.list_partitions(session, table)]


async def test_nothing_stays_too_long_or_goes_too_early(yearly: Database) -> None:
    year = Year(now=present())
    await fill(yearly, year)
    expected = await rows_to_keep(yearly, POLICY, year.now)
    before = await present_rows(yearly)
    bytes_before = await sizes(yearly)

    removed = await service(yearly, year).delete_expired()

    assert await present_rows(yearly) == expected
    assert 0 < expected.count < before.count
    assert all(one.months > 0 and one.freed_bytes > 0 for one in removed.values()), removed
    assert await sizes(yearly) < bytes_before
    # What is told of the years that passed is not made of what was removed.
    again = await service(yearly, year).delete_expired()
    assert set(again.values()) == {Removed()}


async def test_nobody_waits_for_long_meanwhile(yearly: Database) -> None:
    year = Year(now=present(), seed=2)
    await fill(yearly, year)

    async with watched(yearly, await live_run(yearly)) as waits:
        await service(yearly, year).delete_expired()
        await PartitionService(ServiceContext(yearly, lambda: year.now + 60 * DAY)).add_coming()

    assert waits.statements > 10
    assert waits.lock < 100 + waits.machine


@pytest.mark.sampled(1)
@pytest.mark.parametrize("before_commit", [False, True])
async def test_it_goes_on_wherever_it_was_interrupted(
    yearly: Database, before_commit: bool
) -> None:
    year, random = Year(now=present(), seed=3, sessions=120), Random(before_commit)
    await fill(yearly, year)
    expected = await rows_to_keep(yearly, POLICY, year.now)
    interruptions = 0

    while True:
        context = InterruptedContext(
            yearly,
            lambda: year.now,
            left=[random.randrange(1, 20 + 15 * interruptions)],
            before_commit=before_commit,
        )
        try:
            await RetentionService(context, POLICY, batch=50).delete_expired()
        except Interrupted:
            interruptions += 1
            assert expected.missing_from(await present_rows(yearly)) == 0
        else:
            break

    assert interruptions > 2
    assert await present_rows(yearly) == expected


async def test_a_reader_of_a_table_is_not_waited_for_by_others(yearly: Database) -> None:
    year = Year(now=present(), sessions=120)
    await fill(yearly, year)
    retention = service(yearly, year)
    busy = PartitionService(retention.context, pause_seconds=0.01)
    async with yearly.sessions.begin() as session:
        oldest = (await partitions.list_partitions(session, AUDIT))[0]

    async with yearly.sessions() as reader, watched(yearly, await live_run(yearly)) as waits:
        # Like a backup that goes on.
        await reader.execute(text("SELECT count(*) FROM audit_log"))
        is_dropped = await busy.try_often(partial(partitions.drop, partition=oldest))

    assert not is_dropped
    assert waits.lock < 100 + waits.machine
    assert oldest.name in await names(yearly, AUDIT)
    await retention.delete_expired()
    assert oldest.name not in await names(yearly, AUDIT)


async def test_changed_lines_go_with_the_log_of_their_run(yearly: Database) -> None:
    year = Year(now=NOW + 200 * DAY)
    ages = [*range(80, 90), *range(91, 151)]
    made = {age: await running_run(yearly) for age in ages}
    async with yearly.sessions.begin() as session:
        for age, run in made.items():
            at = year.now - age * DAY
            await patches.put(session, run.id, WorkPatch(text=f"+{age}\n", is_cut=False), now=at)

    await service(yearly, year).delete_expired()

    async with yearly.sessions() as session:
        kept = [age for age, run in made.items() if await patches.of_run(session, run.id)]
    assert kept == [*range(80, 90)]


async def test_what_is_kept_for_ever_stays(yearly: Database) -> None:
    year = Year(now=present(), sessions=30)
    await fill(yearly, year)
    before = await present_rows(yearly)

    await service(
        yearly, year, RetentionPolicy(events=None, transcripts=None, audit=None)
    ).delete_expired()

    assert await present_rows(yearly) == before


async def test_the_transcript_of_a_session_that_is_continued_stays_whole(yearly: Database) -> None:
    year = Year(now=present(), sessions=120)
    await fill(yearly, year)

    removed = await service(yearly, year).delete_expired()

    async with yearly.sessions() as session:
        pieces = (
            await session.execute(
                text(
                    """
                    SELECT r.session_id, count(t.id) FROM workflow_runs r
                    LEFT JOIN transcript_entries t ON t.session_id = r.session_id::text
                    GROUP BY 1
                    """
                )
            )
        ).all()
    whole = year.legs * year.entries * year.legs
    assert {count for _, count in pieces} == {0, whole}
    assert removed[RetentionKind.TRANSCRIPTS].moved > 0


async def test_coming_months_have_partitions(yearly: Database) -> None:
    later = present() + 200 * DAY
    added = await PartitionService(ServiceContext(yearly, lambda: later)).add_coming()

    assert added == 4 * len(PARTITIONED_TABLES)
    month = Month.of(later)
    for table in PARTITIONED_TABLES:
        found = await names(yearly, table)
        for _ in range(4):
            assert table.partition(month) in found
            month = month.following
        month = Month.of(later)
    assert await PartitionService(ServiceContext(yearly, lambda: later)).add_coming() == 0


async def test_a_month_that_somebody_else_has_just_added_stays_as_it_is(yearly: Database) -> None:
    month = Month(2040, 12)

    await asyncio.gather(*(partitions.add_month(yearly.reads, EVENTS, month) for _ in range(4)))
    await partitions.add_month(yearly.reads, EVENTS, month)

    assert (await names(yearly, EVENTS)).count(EVENTS.partition(month)) == 1


async def test_a_row_without_a_month_is_stored_and_gets_one(yearly: Database) -> None:
    run = await running_run(yearly)
    early = NOW - 900 * DAY
    async with yearly.sessions.begin() as session:
        await session.execute(
            text("INSERT INTO run_events (run_id, attempt, kind, at) VALUES (:run, 1, 'x', :at)"),
            {"run": run.id, "at": early},
        )
        strays = await partitions.months_in_default(session, EVENTS)

    await PartitionService(ServiceContext(yearly, present)).add_coming()

    async with yearly.sessions() as session:
        assert strays == {Month.of(early): 1}
        assert await partitions.months_in_default(session, EVENTS) == {}
        kept = await session.scalar(
            text(f"SELECT count(*) FROM {EVENTS.partition(Month.of(early))}")
        )
    assert kept == 1
