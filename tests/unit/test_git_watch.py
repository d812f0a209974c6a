"""What is seen of the git commands that prepare a workspace, while they run."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from core.workspace.locks import file_lock
from core.workspace.watch import GitWatch
from core.workspace.workspaces import Workspaces
from tests.limits import limit
from tests.unit.repositories import origin, workspaces

pytestmark = pytest.mark.full_speed

__all__ = ["origin", "workspaces"]


def prepared(
    workspaces: Workspaces, origin: Path, workspace_id: str, watch: GitWatch
) -> asyncio.Task[object]:
    return asyncio.create_task(
        workspaces.prepare(
            workspace_id=workspace_id,
            source=str(origin),
            branch=None,
            run_branch=f"signalbox/{workspace_id}",
            watch=watch,
        ),
        name=workspace_id,
    )


async def test_the_running_command_is_seen_until_the_workspace_is_ready(
    workspaces: Workspaces, origin: Path
) -> None:
    watch, seen = GitWatch(), set[int]()

    preparing = prepared(workspaces, origin, "ws_1", watch)
    async with limit(20):
        while not preparing.done():
            seen |= watch.pids
            await asyncio.sleep(0.001)
    await preparing

    assert seen
    assert watch.pids == frozenset()
    assert watch.awaited_folder is None


async def test_a_run_that_waits_for_another_run_s_fetch_says_where_that_works(
    workspaces: Workspaces, origin: Path
) -> None:
    await prepared(workspaces, origin, "ws_1", GitWatch())
    [lock] = (workspaces.root / "mirrors").glob("*.lock")
    watch = GitWatch()

    with file_lock(lock, timeout=timedelta(seconds=5)):
        preparing = prepared(workspaces, origin, "ws_2", watch)
        async with limit(20):
            while watch.awaited_folder is None:  # noqa: ASYNC110 - another thread sets it
                await asyncio.sleep(0.005)
        folder = watch.awaited_folder
    await preparing

    assert (folder / "HEAD").is_file()
    assert watch.awaited_folder is None
