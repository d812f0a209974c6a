"""Workspaces whose repository is gone or damaged: left as they are, and built again beside."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.workspace.errors import DamagedRepository
from core.workspace.workspaces import Workspaces
from tests.unit.carried_workspaces import pack
from tests.unit.repositories import RUN_BRANCH, commit, git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]


def _delete(git_dir: Path) -> None:
    shutil.rmtree(git_dir)


def _empty(git_dir: Path) -> None:
    shutil.rmtree(git_dir)
    git_dir.mkdir()


def _without_objects(git_dir: Path) -> None:
    shutil.rmtree(git_dir / "objects")
    (git_dir / "objects").mkdir()


def _without_head(git_dir: Path) -> None:
    (git_dir / "HEAD").unlink()


def _as_file(git_dir: Path) -> None:
    shutil.rmtree(git_dir)
    git_dir.write_text("gitdir: /elsewhere\n")


def _leading_elsewhere(git_dir: Path) -> None:
    (git_dir / "commondir").write_text("/elsewhere\n")


DAMAGES = (_delete, _empty, _without_objects, _without_head, _as_file, _leading_elsewhere)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_workspace_is_built_again_beside_from_carried_work(
    workspaces: Workspaces, origin: Path, damage: Callable[[Path], None]
) -> None:
    workspace = await prepare(workspaces, origin)
    head = commit(workspace.path, "done.py", "1\n", "Done")
    (workspace.path / "unsaved.py").write_text("1\n")
    bundle = await pack(workspaces, workspace)
    (workspace.path / "later.py").write_text("1\n")
    damage(workspace.path / ".git")

    with pytest.raises(DamagedRepository):
        await workspaces.reopen("ws_1")
    restored = await workspaces.restore(workspace_id="ws_1", source=str(origin), bundle=bundle)

    rebuilt = restored.workspace
    assert rebuilt.id == "ws_1-2"
    assert await workspaces.head(rebuilt) == head
    assert rebuilt.branch == RUN_BRANCH
    assert (rebuilt.path / "unsaved.py").exists()
    assert (workspace.path / "later.py").read_text() == "1\n"
    assert await workspaces.reopen("ws_1-2") == rebuilt


async def test_a_damaged_workspace_without_carried_work_begins_beside_from_the_repository(
    workspaces: Workspaces, origin: Path
) -> None:
    workspace = await prepare(workspaces, origin)
    (workspace.path / "mine.py").write_text("1\n")
    _delete(workspace.path / ".git")

    fresh = await prepare(workspaces, origin)

    assert fresh.id == "ws_1-2"
    assert (fresh.path / "readme.md").exists()
    assert (workspace.path / "mine.py").exists()


@pytest.mark.parametrize("is_orphan", [False, True])
async def test_a_workspace_without_a_commit_yet_is_not_damaged(
    workspaces: Workspaces, origin: Path, is_orphan: bool
) -> None:
    workspace = await prepare(workspaces, origin if is_orphan else None)
    if is_orphan:
        git(workspace.path, "checkout", "-q", "--orphan", "fresh")

    reopened = await workspaces.reopen("ws_1")

    assert reopened is not None
    assert reopened.id == "ws_1"


async def test_a_commit_on_another_branch_changes_the_state_that_is_carried(
    workspaces: Workspaces, origin: Path
) -> None:
    workspace = await prepare(workspaces, origin)
    before = await workspaces.read_head_state(workspace)
    git(workspace.path, "checkout", "-qb", "feat")
    commit(workspace.path, "a.py", "1\n", "A")
    git(workspace.path, "checkout", "-q", RUN_BRANCH)

    assert await workspaces.read_head_state(workspace) != before
