"""Clean-ups of the workspaces of a home: what goes, what stays, and what a run waits for."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.words.markup import PLAIN
from bot.words.workspaces import stay_words
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.work.carried_work import CarriedWork
from core.domain.workspaces.record import (
    RemovalWhy,
    WorkspaceState,
    WorkspaceStays,
)
from core.domain.workspaces.stay import StayReason
from core.runner.caretaking.caretaker import Caretaker
from core.runner.caretaking.removal import Outcome
from core.store.database.engine import Database
from core.store.fleet import home_disks, workspaces
from core.store.runs import runs
from core.store.sessions import carried_work, sessions
from core.store.tables.work.carried_work import CarriedWorkRow
from core.workspace.cleaning.cleaner import WorkspaceCleaner
from core.workspace.workspaces import Workspace
from tests.database import NOW, new_run
from tests.db.caretaking_home import BOSS, DISK, Home
from tests.limits import limit
from tests.unit import workspace_states as states
from tests.unit.cleaned_workspaces import local_state


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Home:
    return Home(database, tmp_path)


async def test_an_old_workspace_goes_and_its_work_is_stored(home: Home) -> None:
    run, workspace = await home.ended(states.commit, states.untracked)
    before = local_state(workspace.path)

    await home.clean_up()

    row = await home.row(workspace)
    assert not workspace.path.exists()
    assert (row.state, row.removal_why) == (WorkspaceState.REMOVED, RemovalWhy.AGE)
    assert row.reclaimed_bytes
    assert (await home.read(run)).workspace_cleaned_up
    async with home.database.sessions() as session:
        stored = await carried_work.latest_verified(session, run.session_id)
        disk = (await home_disks.list_all(session))[0]
    assert stored is not None
    restored = await home.workspaces.restore(
        workspace_id=workspace.id, source=str(home.origin), bundle=stored.bundle
    )
    assert local_state(restored.workspace.path) == before
    assert (disk.pass_removed, disk.pass_reclaimed_bytes) == (1, row.reclaimed_bytes)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("acts", "later", "why"),
    [
        ([states.commit, states.push], timedelta(days=2), RemovalWhy.DELIVERED),
        ([states.commit, states.squash_merge], timedelta(days=2), RemovalWhy.DELIVERED),
        ([states.commit], timedelta(days=2), None),
        ([states.commit, states.push], timedelta(hours=2), None),
        ([states.commit], timedelta(days=15), RemovalWhy.AGE),
    ],
)
async def test_delivered_workspaces_go_sooner(
    home: Home, acts: list[states.Act], later: timedelta, why: RemovalWhy | None
) -> None:
    run, workspace = await home.ended(*acts)

    await home.clean_up(later)

    row = await home.row(workspace)
    assert row.removal_why is why
    assert workspace.path.exists() is (why is None)
    assert (await home.read(run)).workspace_cleaned_up is (why is not None)
    if why is None:
        assert row.stay is not None
        assert row.stay.reason is StayReason.NOT_DUE


async def test_a_workspace_with_something_of_its_own_stays_and_says_why(home: Home) -> None:
    run, workspace = await home.ended(states.commit, states.ignored)
    before = local_state(workspace.path)

    await home.clean_up()

    row = await home.row(workspace)
    assert row.state is WorkspaceState.PRESENT
    assert row.stay is not None
    assert stay_words(row.stay, PLAIN) == "it has ignored files that are stored nowhere (.env)"
    assert local_state(workspace.path) == before
    assert not (await home.read(run)).workspace_cleaned_up


@pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.RUNNING])
async def test_the_workspace_of_a_live_run_stays(home: Home, status: RunStatus) -> None:
    first, workspace = await home.ended(states.commit)
    await next_leg(home, first, status)

    await home.clean_up()

    row = await home.row(workspace)
    assert workspace.path.exists()
    assert row.stay is None or row.stay.reason is StayReason.LIVE_RUN
    with pytest.raises(WorkspaceStays):
        await home.service.clean(workspace.id, by=BOSS)


async def next_leg(home: Home, first: Run, status: RunStatus) -> None:
    async with home.database.sessions.begin() as session:
        leg = new_run(first.session_id, parent_run_id=first.id, workspace_id=first.workspace_id)
        await runs.add(session, leg)
        if status is RunStatus.RUNNING:
            await runs.begin(session, leg.run_id, attempt=1, worker_id="here-aa-2:bb", now=home.at)


async def test_a_run_that_comes_during_the_examination_keeps_its_workspace(home: Home) -> None:
    run, workspace = await home.ended(states.commit)
    home.at += timedelta(days=20)
    caretaker = home.caretaker()
    await caretaker.start()
    removal = replace(caretaker.removal, cleaner=Slow(home.workspaces, frozenset()))
    considering = asyncio.create_task(removal.consider(workspace.id, None))
    await until(lambda: claimed(home, workspace))

    await next_leg(home, run, RunStatus.PENDING)
    async with limit(30):
        outcome = await considering

    assert outcome.stay is not None
    assert outcome.stay.reason is StayReason.LIVE_RUN
    assert workspace.path.exists()


class Slow(WorkspaceCleaner):
    """Examines without end."""

    async def examine_newest(self, *_: object, **__: object) -> object:  # type: ignore[override]
        return await asyncio.Event().wait()


async def claimed(home: Home, workspace: Workspace) -> bool:
    try:
        async with asyncio.timeout(0.2), home.workspaces.in_use(workspace.id):
            return False
    except TimeoutError:
        return True


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with limit(30):
        while not await holds():  # noqa: ASYNC110 - a lock tells nobody
            await asyncio.sleep(0.05)


async def test_two_workers_of_a_home_remove_each_workspace_once(home: Home) -> None:
    made = [await home.ended(states.commit) for _ in range(3)]
    home.at += timedelta(days=20)
    both = [home.caretaker(), home.caretaker("here-aa-2:cafe")]
    for one in both:
        await one.start()

    outcomes: list[list[Outcome]] = await asyncio.gather(*(consider_all(one, made) for one in both))

    removed = [one for outcome in outcomes for one in outcome if one.is_removed]
    assert len(removed) == len(made)
    assert all([(await home.read(run)).workspace_cleaned_up for run, _ in made])


async def consider_all(caretaker: Caretaker, made: list[tuple[Run, Workspace]]) -> list[Outcome]:
    there = [workspace for _, workspace in made if workspace.path.exists()]
    return [await caretaker.removal.consider(one.id, None) for one in there]


async def test_only_one_worker_of_a_home_cleans_up_when_the_clock_asks(home: Home) -> None:
    await home.ended(states.commit)
    await home.caretaker().start()
    async with home.database.sessions.begin() as session:
        before = await home_disks.claim_pass(session, DISK, now=home.at)

    await home.service.request_clean_ups()
    home.at += timedelta(seconds=1)
    async with home.database.sessions.begin() as session:
        claims = [await home_disks.claim_pass(session, DISK, now=home.at) for _ in range(2)]

    assert not before
    assert claims == [True, False]


async def test_a_removal_that_was_cut_short_is_finished(home: Home) -> None:
    run, workspace = await home.ended(states.commit)
    await home.caretaker().start()
    async with home.database.sessions.begin() as session:
        await workspaces.set_removing(session, DISK, workspace.id, RemovalWhy.AGE)
    shutil.move(workspace.path, home.workspaces.root / "removed")

    await home.caretaker().start()

    assert (await home.row(workspace)).state is WorkspaceState.REMOVED
    assert (await home.read(run)).workspace_cleaned_up


async def test_a_folder_that_vanished_is_not_called_cleaned_up(home: Home) -> None:
    run, workspace = await home.ended(states.commit)
    await home.caretaker().start()
    shutil.rmtree(workspace.path)

    await home.caretaker().start()

    assert (await home.row(workspace)).state is WorkspaceState.MISSING
    assert not (await home.read(run)).workspace_cleaned_up


async def test_stored_work_that_was_damaged_keeps_its_older_copies(home: Home) -> None:
    run, workspace = await home.ended(states.commit)
    bundle = (
        await home.caretaker().cleaner.examine_newest(workspace.id, repo=str(home.origin))
    ).bundle
    assert bundle is not None
    async with home.database.sessions.begin() as session:
        await sessions.change(session, run.session_id, workspace_node="elsewhere-bb-1")
        work = CarriedWork(
            id=run.id, session_id=run.session_id, run_id=run.id, attempt=1, bundle=bundle,
            created_at=NOW,
        )  # fmt: skip
        await carried_work.save(session, work)
        await session.execute(update(CarriedWorkRow).values(bundle=bundle.data + b"x"))

    await home.clean_up()

    row = await home.row(workspace)
    assert workspace.path.exists()
    assert row.stay is not None
    assert row.stay.reason is StayReason.FAILED
