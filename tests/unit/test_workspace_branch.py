"""The commit from which a workspace starts, and missing branches."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.workspace.source import BadRepository
from core.workspace.workspaces import MissingBranch, Workspaces
from tests.unit.repositories import RUN_BRANCH, commit, git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]


async def test_a_branch_can_be_chosen(workspaces: Workspaces, origin: Path) -> None:
    workspace = await prepare(workspaces, origin, "feature/limits")

    assert workspace.base_commit == git(origin, "rev-parse", "feature/limits")
    assert (workspace.path / "limits.py").exists()


async def test_a_branch_of_an_empty_repository_is_missing(
    workspaces: Workspaces, tmp_path: Path
) -> None:
    git(tmp_path, "init", "-q", "--bare", str(tmp_path / "empty.git"))

    with pytest.raises(MissingBranch, match="no branch") as raised:
        await prepare(workspaces, tmp_path / "empty.git", "main")

    assert "empty" in raised.value.user_message


async def test_a_detached_head_is_used(workspaces: Workspaces, origin: Path) -> None:
    lost = commit(origin, "x.txt", "x\n", "On no branch later")
    git(origin, "checkout", "-q", "--detach")
    git(origin, "branch", "-f", "trunk", "HEAD~1")

    workspace = await prepare(workspaces, origin)

    assert workspace.base_commit == lost
    assert workspace.branch == RUN_BRANCH


async def test_a_head_on_a_missing_branch_falls_back_to_an_existing_one(
    workspaces: Workspaces, origin: Path
) -> None:
    git(origin, "symbolic-ref", "HEAD", "refs/heads/gone")

    workspace = await prepare(workspaces, origin)

    assert workspace.base_commit == git(origin, "rev-parse", "feature/limits")


async def test_a_missing_branch_is_reported_with_similar_names(
    workspaces: Workspaces, origin: Path
) -> None:
    with pytest.raises(MissingBranch) as raised:
        await workspaces.check(str(origin), "feature/limit")

    assert raised.value.suggestions == ("feature/limits",)
    assert "`feature/limits`" in raised.value.user_message


@pytest.mark.parametrize(
    "branch", ["--upload-pack=x", "-b", "a\nb", "trunk~1", "HEAD", "refs/heads/trunk", "ünï", ""]
)
async def test_hostile_branch_names_are_treated_as_missing(
    workspaces: Workspaces, origin: Path, branch: str
) -> None:
    with pytest.raises(MissingBranch):
        await prepare(workspaces, origin, branch)


async def test_a_branch_without_a_repository_is_refused(workspaces: Workspaces) -> None:
    with pytest.raises(BadRepository, match="branch") as raised:
        await prepare(workspaces, None, "main")

    assert "without a repository" in raised.value.user_message


async def test_unicode_branches_and_branches_that_block_new_ones_work(
    workspaces: Workspaces, origin: Path
) -> None:
    git(origin, "branch", "größe/世界")
    git(origin, "checkout", "-qb", "signalbox")

    default = await prepare(workspaces, origin)
    chosen = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch="größe/世界", run_branch="signalbox/a/b"
    )

    assert default.branch == RUN_BRANCH.replace("/", "-")
    assert chosen.base_commit == git(origin, "rev-parse", "trunk")
