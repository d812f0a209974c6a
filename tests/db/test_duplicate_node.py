"""A worker that starts under a used name: its predecessor is dead, or a duplicate is alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.cli.advice import error_line
from core.domain.fleet.attempt import STALLED_AFTER, build_host_id
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.runner.worker.duplicate_node import CopiedHome, register_exclusively
from core.runner.worker.identity import WorkerIdentity
from core.services.context import ServiceContext
from core.store.database.engine import Database
from core.store.fleet import workers
from core.workspace.scratch import Scratch
from tests.limits import limit, patient

NODE = "build-0badcafe-0"
HERE = build_host_id("build", boot="11111111", namespace=1)
REBOOTED = build_host_id("build", boot="00000000", namespace=1)
FOR_EVER = timedelta(hours=1)
SOON = timedelta(milliseconds=20)


def now() -> datetime:
    return datetime.now(UTC)


def identity(
    name: str = "new", *, predecessor: str | None = None, host: str = HERE
) -> WorkerIdentity:
    return WorkerIdentity(
        node=NODE,
        worker_id=f"{NODE}:{name}",
        host=host,
        disk_id_file=Path("/home/signalbox/disk-id"),
        scratch=Scratch(owner="nobody", folder=Path("/nowhere")),
        predecessor=predecessor,
    )


def record(name: str = "old", *, host: str = HERE, age: timedelta = timedelta(0)) -> WorkerRecord:
    at = now() - age
    return WorkerRecord(
        worker_id=f"{NODE}:{name}",
        node=NODE,
        host=host,
        slots=1,
        state=WorkerState.UP,
        started_at=at,
        heartbeat_at=at,
    )


async def report(database: Database, worker: WorkerRecord) -> None:
    async with database.sessions.begin() as session:
        await workers.record_heartbeat(session, worker)


async def state_of(database: Database, name: str) -> WorkerState:
    async with database.sessions() as session:
        found = await workers.list_recent(session, gone_since=now() - FOR_EVER)
    return next(one.state for one in found if one.worker_id == f"{NODE}:{name}")


async def start(
    database: Database,
    who: WorkerIdentity,
    *,
    observe_for: timedelta = FOR_EVER,
    within: timedelta = timedelta(seconds=10),
) -> None:
    work = ServiceContext(database, now)
    name = who.worker_id.rpartition(":")[2]
    async with limit(within.total_seconds()):
        await register_exclusively(
            work, who, record(name, host=who.host), observe_for=observe_for, recheck_interval=SOON
        )


@asynccontextmanager
async def beating(database: Database, duplicate: WorkerRecord) -> AsyncIterator[None]:
    """A worker that sends heartbeats."""

    async def beat() -> None:
        while True:
            await report(database, replace(duplicate, heartbeat_at=now()))
            await asyncio.sleep(SOON.total_seconds())

    await report(database, duplicate)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(beat(), name="beat")
        try:
            yield
        finally:
            task.cancel()


@pytest.mark.parametrize(
    "duplicate",
    [
        record(host=REBOOTED),
        record(host=build_host_id("clone", boot="2222", namespace=1)),
        record(),
    ],
    ids=["another kernel", "another hostname", "the same host"],
)
async def test_a_worker_does_not_start_beside_a_live_worker_of_its_name(
    database: Database, duplicate: WorkerRecord
) -> None:
    async with beating(database, replace(duplicate, heartbeat_at=now())):
        with pytest.raises(CopiedHome) as refused:
            await start(database, identity())

    assert await state_of(database, "old") is WorkerState.UP
    (line,) = error_line(refused.value).splitlines()
    assert "Delete /home/signalbox/disk-id" in line
    assert f"A live worker on {duplicate.machine} " in line


async def test_a_worker_replaces_a_namesake_that_became_silent(
    database: Database,
) -> None:
    await report(database, record(host=REBOOTED))

    await start(database, identity(), observe_for=10 * SOON)

    assert await state_of(database, "old") is WorkerState.GONE
    assert await state_of(database, "new") is WorkerState.UP


async def test_a_stalled_namesake_is_replaced_without_waiting(database: Database) -> None:
    await report(database, record(host=REBOOTED, age=STALLED_AFTER))

    await start(database, identity())

    assert await state_of(database, "old") is WorkerState.GONE


async def test_the_previous_lock_holder_on_this_host_is_replaced_without_waiting(
    database: Database,
) -> None:
    await report(database, record())

    await start(database, identity(predecessor=f"{NODE}:old"))

    assert await state_of(database, "old") is WorkerState.GONE


async def test_the_previous_lock_holder_is_checked_after_its_disk_was_cloned(
    database: Database,
) -> None:
    async with beating(database, record(host=REBOOTED)):
        with pytest.raises(CopiedHome):
            await start(database, identity(predecessor=f"{NODE}:old"))


async def test_two_copies_that_start_at_once_do_not_both_begin(database: Database) -> None:
    async def live(name: str, host: str) -> None:
        await start(database, identity(name, host=host), observe_for=250 * SOON)
        # One may begin before the other is visible; the other then sees its heartbeats.
        async with beating(database, record(name, host=host)):
            await asyncio.Event().wait()

    copies = [
        asyncio.create_task(live("one", HERE)),
        asyncio.create_task(live("two", REBOOTED)),
    ]
    done, begun = await asyncio.wait(
        copies, timeout=patient(20), return_when=asyncio.FIRST_EXCEPTION
    )
    for copy in begun:
        copy.cancel()
    await asyncio.wait(copies)

    assert done
    assert all(isinstance(copy.exception(), CopiedHome) for copy in done)
