"""Room for runs, and what people see of workspaces and may ask for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.actor import Role
from core.domain.failure_cause import FailureCause
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.workspaces.policy import DiskRoom
from core.domain.workspaces.record import (
    NobodyCleans,
    RemovalWhy,
    WorkspaceNotFound,
    WorkspaceState,
)
from core.domain.workspaces.stay import StayReason
from core.services.context import NotAllowed
from core.services.housekeeping import HousekeepingService
from core.store.database.engine import Database
from core.store.fleet import workers, workspaces
from core.store.runs import runs
from core.store.sessions import sessions
from core.workspace.errors import NoDiskRoom
from tests.database import NOW, new_run, new_session
from tests.db.caretaking_home import BOSS, DISK, EVERYTHING, WORKER, Home
from tests.unit import workspace_states as states


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Home:
    return Home(database, tmp_path)


async def test_room_is_made_by_the_longest_idle_workspaces(home: Home) -> None:
    made = []
    for _ in range(3):
        made.append((await home.ended(states.commit))[1])
        home.at += timedelta(hours=1)
    caretaker = home.caretaker()
    await caretaker.start()
    size = await caretaker.cleaner.measure(made[0].id)
    room: DiskRoom = await caretaker.cleaner.room(3 * size)
    caretaker.policy = replace(home.policy, max_bytes=room.used_bytes - size)

    await caretaker.require_room(is_new=True)

    assert [one.path.exists() for one in made] == [False, True, True]
    assert (await home.row(made[0])).removal_why is RemovalWhy.ROOM


async def test_without_room_a_run_is_refused_in_words(home: Home) -> None:
    _, workspace = await home.ended(states.stash)
    home.at += timedelta(hours=1)
    home.policy = replace(EVERYTHING, max_bytes=1)
    caretaker = home.caretaker()
    await caretaker.start()

    with pytest.raises(NoDiskRoom) as quota:
        await caretaker.require_room(is_new=True)
    await caretaker.require_room(is_new=False)
    caretaker.policy = replace(EVERYTHING, min_free_bytes=10**18)
    with pytest.raises(NoDiskRoom) as floor:
        await caretaker.require_room(is_new=False)

    assert "take" in quota.value.user_message
    assert "its disk has" in floor.value.user_message
    assert quota.value.cause is floor.value.cause is FailureCause.DISK_FULL
    assert workspace.path.exists()


async def test_a_person_with_the_role_can_have_a_workspace_removed(home: Home) -> None:
    _, workspace = await home.ended(states.commit)
    home.at += timedelta(minutes=2)
    caretaker = home.caretaker()
    await caretaker.start()
    with pytest.raises(NotAllowed):
        await home.service.clean(workspace.id, by=replace(BOSS, role=Role.RUNNER))
    with pytest.raises(NobodyCleans):
        await home.service.clean(workspace.id, by=BOSS)
    await worker_up(home)

    asked = await home.service.clean(workspace.id, by=BOSS)
    await caretaker.act()
    found = await home.service.find(workspace.id, by=BOSS)

    assert asked.row.requested_by == "boss"
    assert found.row.state is WorkspaceState.REMOVED
    assert found.row.removal_why is RemovalWhy.REQUEST
    assert not workspace.path.exists()


async def worker_up(home: Home) -> None:
    record = WorkerRecord(
        worker_id=WORKER, node="here-aa-1", host="here#boot", slots=1, state=WorkerState.UP,
        started_at=home.at, heartbeat_at=home.at,
    )  # fmt: skip
    async with home.database.sessions.begin() as session:
        await workers.record_heartbeat(session, record)


async def test_a_workspace_of_another_database_stays(home: Home) -> None:
    workspace = await home.workspaces.prepare(
        workspace_id="ws_foreign", source=None, branch=None, run_branch="x"
    )

    await home.clean_up()
    home.at += timedelta(days=30)
    await home.clean_up()

    row = await home.row(workspace)
    assert row.stay is not None
    assert row.stay.reason is StayReason.UNKNOWN_SESSION
    assert (await home.service.view(by=BOSS)).workspaces[0].title == ""


async def test_the_list_names_the_session(home: Home) -> None:
    conversation = new_session(name="limits")
    async with home.database.sessions.begin() as session:
        await sessions.add(session, conversation)
        await runs.add(session, new_run(conversation.id, workspace_id="ws_1"))
        await workspaces.report(
            session, DISK, "ws_1", session_id=conversation.id, repo="r", used_at=NOW, now=NOW
        )

    view = await home.service.view(by=BOSS)

    (listed,) = view.workspaces
    assert (listed.session_name, listed.title) == ("limits", "Add rate limiting")
    assert listed.live_run is not None


async def test_rows_of_what_is_gone_are_deleted_after_a_month(home: Home) -> None:
    _, workspace = await home.ended(states.commit)
    _, kept = await home.ended(states.stash)
    await home.clean_up()
    housekeeping = HousekeepingService(home.context)

    early = await housekeeping.delete_expired()
    home.at += timedelta(days=31)
    late = await housekeeping.delete_expired()

    assert (early.workspaces, early.home_disks) == (0, 0)
    assert (late.workspaces, late.home_disks) == (1, 1)
    with pytest.raises(WorkspaceNotFound):
        await home.service.find(workspace.id, by=BOSS)
    assert (await home.row(kept)).state is WorkspaceState.PRESENT
