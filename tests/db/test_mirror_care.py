"""The removal of mirrors: what goes, what stays, and that the next run fetches again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.store.database.engine import Database
from core.store.fleet import home_disks
from core.workspace.locks import file_lock
from core.workspace.mirror import lock_of, mirror_name
from core.workspace.source import parse_source
from core.workspace.workspaces import Workspace
from tests.db.caretaking_home import EVERYTHING, Home
from tests.unit import workspace_states as states
from tests.unit.cleaned_workspaces import new_origin


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Home:
    return Home(database, tmp_path, at=datetime.now(UTC))


def mirror_of(home: Home) -> Path:
    found = home.folder / "home" / "mirrors" / mirror_name(parse_source(str(home.origin)))
    assert found.is_dir()
    return found


async def test_a_mirror_goes_when_its_last_workspace_has_gone_and_nobody_used_it(
    home: Home,
) -> None:
    _, workspace = await home.ended(states.commit, states.push)
    mirror = mirror_of(home)

    await home.clean_up(timedelta(days=2))
    assert not workspace.path.exists()
    assert mirror.is_dir()
    await home.clean_up(timedelta(days=11))
    assert mirror.is_dir()
    await home.clean_up(timedelta(days=2))

    assert not mirror.exists()
    async with home.database.sessions() as session:
        disk = (await home_disks.list_all(session))[0]
    assert disk.pass_removed == 0
    assert disk.pass_reclaimed_bytes is not None
    assert disk.pass_reclaimed_bytes > 10_000
    again = await prepared(home)
    assert (again.path / "readme.md").is_file()


async def prepared(home: Home) -> Workspace:
    return await home.workspaces.prepare(
        workspace_id="ws_again", source=str(home.origin), branch=None, run_branch="signalbox/again"
    )


async def test_a_mirror_with_a_workspace_stays(home: Home) -> None:
    _, workspace = await home.ended(states.stash)
    mirror = mirror_of(home)

    await home.clean_up(timedelta(days=40))

    assert workspace.path.exists()
    assert mirror.is_dir()


async def test_mirrors_stay_if_workspaces_do_for_ever(home: Home) -> None:
    home.policy = replace(EVERYTHING, max_age=None, after_delivery=timedelta(0))
    _, workspace = await home.ended(states.commit, states.push)
    mirror = mirror_of(home)

    await home.clean_up(timedelta(days=400))

    assert not workspace.path.exists()
    assert mirror.is_dir()


async def test_a_mirror_that_somebody_uses_stays(home: Home) -> None:
    await home.ended(states.commit, states.push)
    mirror = mirror_of(home)
    await home.clean_up(timedelta(days=2))

    with file_lock(lock_of(mirror), timeout=timedelta(0), is_shared=True):
        await home.clean_up(timedelta(days=40))

    assert mirror.is_dir()


async def test_mirrors_without_a_workspace_make_room_first(home: Home) -> None:
    _, workspace = await home.ended(states.commit)
    first = mirror_of(home)
    more = home.folder / "more"
    more.mkdir()
    home.origin = new_origin(more)
    await home.workspaces.prepare(
        workspace_id="ws_other", source=str(home.origin), branch=None, run_branch="signalbox/other"
    )
    second = mirror_of(home)
    caretaker = home.caretaker()
    await caretaker.start()
    await caretaker.cleaner.remove("ws_other")
    size = await caretaker.cleaner.measure(workspace.id)
    room = await caretaker.cleaner.room(size)
    caretaker.policy = replace(home.policy, max_bytes=room.used_bytes - 1)
    home.at += timedelta(hours=1)

    await caretaker.require_room(is_new=True)

    assert not second.exists()
    assert first.is_dir()
    assert workspace.path.exists()


async def test_a_quota_that_mirrors_fill_leaves_room_for_a_run(home: Home) -> None:
    _, workspace = await home.ended(states.commit)
    mirror = mirror_of(home)
    caretaker = home.caretaker()
    await caretaker.start()
    caretaker.policy = replace(home.policy, max_bytes=1000)
    home.at += timedelta(hours=1)

    await caretaker.require_room(is_new=True)

    assert not workspace.path.exists()
    assert not mirror.exists()
