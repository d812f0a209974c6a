"""The rows of carried work: which are stored, which are deleted, which write counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from core.domain.runs.errors import StaleAttempt
from core.domain.runs.run import Run
from core.domain.runs.work.carried_work import Bundle, BundleTooLarge, CarriedWork
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions import carried_work
from core.store.tables.work.carried_work import CarriedWorkRow
from tests.database import NOW, running_run

COMMITS = Bundle(
    data=b"a bundle\x00\xff",
    branch="signalbox/implement/run_1",
    base_commit="a" * 40,
    head_commit="b" * 40,
    references={"refs/heads/main": "a" * 40, "refs/heads/signalbox/implement/run_1": "b" * 40},
)
SAVED = replace(COMMITS, saved_commit="c" * 64)


def of(run: Run, bundle: Bundle = COMMITS, *, seconds: int = 0) -> CarriedWork:
    return CarriedWork(
        id=uuid4(),
        session_id=run.session_id,
        run_id=run.id,
        attempt=run.attempt,
        bundle=bundle,
        created_at=NOW + timedelta(seconds=seconds),
    )


async def put(database: Database, work: CarriedWork, **limits: int) -> None:
    async with database.sessions.begin() as session:
        await carried_work.save(session, work, **limits)


async def latest(database: Database, run: Run) -> CarriedWork | None:
    async with database.sessions.begin() as session:
        return await carried_work.latest(session, run.session_id)


async def rows(database: Database) -> int:
    async with database.sessions.begin() as session:
        return await session.scalar(select(func.count()).select_from(CarriedWorkRow)) or 0


@pytest.mark.parametrize(
    "bundle",
    [
        COMMITS,
        SAVED,
        replace(COMMITS, data=b"", branch=None, references={}),
        replace(SAVED, base_commit=None, head_commit=None),
    ],
)
async def test_work_is_read_as_it_was_stored(database: Database, bundle: Bundle) -> None:
    run = await running_run(database)
    work = of(run, bundle)

    await put(database, work)

    assert await latest(database, run) == work
    async with database.sessions.begin() as session:
        head = await carried_work.latest_head(session, run.session_id)
    assert head == (bundle.head_commit, bundle.newest_commit)


async def test_a_session_without_work_has_none(database: Database) -> None:
    run = await running_run(database)

    assert await latest(database, run) is None
    async with database.sessions.begin() as session:
        assert await carried_work.latest_head(session, run.session_id) is None


async def test_the_newest_of_each_kind_is_kept(database: Database) -> None:
    run, other = await running_run(database), await running_run(database)
    for second, bundle in enumerate((COMMITS, SAVED, COMMITS, SAVED, COMMITS)):
        await put(database, of(run, bundle, seconds=second))
    await put(database, of(other))

    assert await rows(database) == 3
    found = await latest(database, run)
    assert found is not None
    assert found.bundle.saved_commit is None


async def test_the_later_stored_work_is_newer_whatever_its_clock_says(database: Database) -> None:
    run = await running_run(database)
    await put(database, of(run, SAVED, seconds=60))
    behind = of(run, COMMITS, seconds=0)

    await put(database, behind)

    found = await latest(database, run)
    assert found is not None
    assert found.id == behind.id
    assert found.created_at > NOW + timedelta(seconds=60)


async def test_work_over_the_limit_is_refused_and_nothing_is_lost(database: Database) -> None:
    run = await running_run(database)
    first = of(run)
    await put(database, first)

    with pytest.raises(BundleTooLarge):
        await put(database, of(run, seconds=1), max_bytes=3)

    assert await latest(database, run) == first


async def test_a_lost_worker_s_late_work_is_refused(database: Database) -> None:
    run = await running_run(database)
    late = of(run)
    async with database.sessions.begin() as session:
        await runs.requeue(session, run.run_id, attempt=run.attempt, now=NOW)

    with pytest.raises(StaleAttempt):
        await put(database, late)
    async with database.sessions() as session:
        with pytest.raises(StaleAttempt):
            await carried_work.delete_for_run(session, run.id, attempt=run.attempt)

    assert await rows(database) == 0


async def test_work_that_the_repository_has_is_deleted(database: Database) -> None:
    run, other = await running_run(database), await running_run(database)
    for work in (of(run), of(run, SAVED), of(other)):
        await put(database, work)

    async with database.sessions.begin() as session:
        await carried_work.delete_for_run(session, run.id, attempt=run.attempt)

    assert await latest(database, run) is None
    assert await latest(database, other) is not None


async def test_work_stored_twice_has_one_row(database: Database) -> None:
    run = await running_run(database)
    work = of(run)
    await put(database, work)
    # As after a lost answer.
    await put(database, work)

    async with database.sessions() as session:
        stored = await carried_work.latest(session, run.session_id)
    assert stored is not None
    assert stored.id == work.id
