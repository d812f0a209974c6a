"""Work that cannot be carried to another machine is omitted and named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from core.domain.runs.work.carried_work import BundleTooLarge
from core.workspace.workspaces import WorkspaceError, Workspaces
from tests.unit.carried_workspaces import other_machine, pack, restore_from, workspace_files
from tests.unit.repositories import commit, git, origin, prepare, workspaces

pytestmark = pytest.mark.full_speed

__all__ = ["origin", "other_machine", "workspaces"]


async def test_submodules_and_nested_repositories_are_named_as_left_empty(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    commit(inner, "inner.txt", "inner\n", "Inner")
    here = await prepare(workspaces, origin)
    git(here.path, "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(inner), "sub")
    git(here.path, "commit", "-qm", "Add a submodule")
    nested = here.path / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    commit(nested, "deep.txt", "deep\n", "Deep")
    bare = here.path / "begun"
    bare.mkdir()
    git(bare, "init", "-q")
    (bare / "lost.txt").write_text("lost\n")
    (here.path / "beside.txt").write_text("beside\n")

    there = await restore_from(other_machine, await pack(workspaces, here), origin)

    assert there.left_empty == ("nested", "sub")
    assert list((there.workspace.path / "nested").iterdir()) == []
    assert (there.workspace.path / "beside.txt").read_text() == "beside\n"
    assert not (there.workspace.path / "begun").exists()


async def test_a_bundle_over_the_limit_is_refused(workspaces: Workspaces, origin: Path) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "large.bin").write_bytes(os.urandom(300_000))
    commit(here.path, "one.txt", "one\n", "One")

    with pytest.raises(BundleTooLarge) as far:
        await workspaces.bundle(here, since=here.base_commit, max_bytes=10_000)
    with pytest.raises(BundleTooLarge) as near:
        await workspaces.bundle(here, since=here.base_commit, max_bytes=200_000)

    assert far.value.limit == 10_000
    assert near.value.size > 300_000
    assert "too large to be carried (0.3 MB, limit 0.2 MB)" in near.value.user_message
    assert await workspaces.bundle(here, since=here.base_commit, max_bytes=400_000)


async def test_a_workspace_without_its_repository_is_a_clear_error(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    shutil.rmtree(here.path / ".git")

    with pytest.raises(WorkspaceError) as raised:
        await workspaces.bundle(here, since=here.base_commit)

    assert "no longer a git repository" in raised.value.user_message


async def test_a_repository_recreated_by_the_agent_is_carried_in_full(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    shutil.rmtree(here.path / ".git")
    git(here.path, "init", "-q", "-b", "mine")
    newest = commit(here.path, "one.txt", "one\n", "One")

    there = await restore_from(other_machine, await pack(workspaces, here), origin)

    assert await other_machine.head(there.workspace) == newest
    assert there.workspace.branch == "mine"
    assert workspace_files(there.workspace.path) == workspace_files(here.path)
