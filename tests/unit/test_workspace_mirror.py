"""The mirror that workspaces of one repository share: updates, concurrency, damage."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from core.workspace.workspaces import Workspaces
from tests.unit.repositories import commit, git, origin, prepare, workspaces

pytestmark = pytest.mark.full_speed

__all__ = ["origin", "workspaces"]


async def test_a_second_fetch_adds_new_and_removes_deleted_branches(
    workspaces: Workspaces, origin: Path
) -> None:
    await prepare(workspaces, origin)
    newest = commit(origin, "more.txt", "more\n", "More")
    git(origin, "branch", "-qD", "feature/limits")

    second = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/b"
    )

    assert second.base_commit == newest
    assert "feature" not in git(second.path, "branch", "-r")


async def test_a_rewritten_history_is_fetched(workspaces: Workspaces, origin: Path) -> None:
    await prepare(workspaces, origin)
    git(origin, "commit", "-q", "--amend", "-m", "Begin anew")

    second = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/b"
    )

    assert second.base_commit == git(origin, "rev-parse", "trunk")


async def test_many_runs_of_several_workers_prepare_concurrently(
    workspaces: Workspaces, origin: Path
) -> None:
    other = Workspaces(workspaces.root, git_timeout=timedelta(seconds=30), policy=workspaces.policy)

    made = await asyncio.gather(
        *(
            [workspaces, other][number % 2].prepare(
                workspace_id=f"ws_{number}",
                source=str(origin),
                branch=None,
                run_branch=f"signalbox/{number}",
            )
            for number in range(8)
        )
    )

    assert len({workspace.path for workspace in made}) == 8
    assert {workspace.base_commit for workspace in made} == {git(origin, "rev-parse", "trunk")}
    assert len(list((workspaces.root / "mirrors").glob("*.git"))) == 1


async def test_concurrent_preparations_create_a_workspace_once(
    workspaces: Workspaces, origin: Path
) -> None:
    first, second = await asyncio.gather(prepare(workspaces, origin), prepare(workspaces, origin))

    assert first == second
    assert [path.name for path in (workspaces.root / "workspaces").iterdir()] == ["ws_1"]


async def test_a_mirror_with_locks_of_a_killed_fetch_still_works(
    workspaces: Workspaces, origin: Path
) -> None:
    await prepare(workspaces, origin)
    commit(origin, "more.txt", "more\n", "More")
    [mirror] = (workspaces.root / "mirrors").glob("*.git")
    (mirror / "packed-refs.lock").touch()
    (mirror / "refs/heads/trunk.lock").touch()

    second = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/b"
    )

    assert (second.path / "more.txt").exists()


async def test_a_damaged_mirror_is_recreated(workspaces: Workspaces, origin: Path) -> None:
    await prepare(workspaces, origin)
    [mirror] = (workspaces.root / "mirrors").glob("*.git")
    for file in (*mirror.glob("objects/??/*"), *mirror.glob("objects/pack/*.pack")):
        file.chmod(0o600)
        # A new file, because the workspaces' hard links share the old content.
        file.unlink()
        file.write_bytes(b"")
    commit(origin, "more.txt", "more\n", "More")

    second = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/b"
    )

    assert (second.path / "more.txt").exists()
    assert git(second.path, "fsck") == ""
