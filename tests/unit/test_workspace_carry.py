"""Work carried to another machine, with real repositories and the real git."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from core.workspace.workspaces import Workspaces
from tests.unit.carried_workspaces import (
    other_machine,
    pack,
    restore_from,
    workspace_files,
    workspace_state,
)
from tests.unit.repositories import RUN_BRANCH, commit, git, origin, prepare, workspaces

pytestmark = pytest.mark.full_speed

__all__ = ["origin", "other_machine", "workspaces"]

ODD_NAMES = ["with space.txt", "new\nline.txt", 'quo"te.txt', "ünïcode.txt", "-dash", "a/b/c.txt"]


async def test_commits_and_uncommitted_work_arrive_as_they_were(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    commit(here.path, "gone.txt", "gone\n", "Two")
    (here.path / "readme.md").write_text("changed\n")
    (here.path / "gone.txt").unlink()
    (here.path / "tool.sh").write_text("#!/bin/sh\n")
    (here.path / "tool.sh").chmod(0o755)
    (here.path / "link").symlink_to("readme.md")
    (here.path / "dangling").symlink_to("/nowhere/at all")
    (here.path / "binary.bin").write_bytes(bytes(range(256)) * 4_000)
    for name in ODD_NAMES:
        (here.path / name).parent.mkdir(parents=True, exist_ok=True)
        (here.path / name).write_text(name)

    there = await restore_from(other_machine, await pack(workspaces, here), origin)

    assert workspace_state(there.workspace.path) == workspace_state(here.path)
    assert workspace_files(there.workspace.path) == workspace_files(here.path)
    assert there.workspace == replace(here, path=there.workspace.path)
    assert there.workspace.branch == RUN_BRANCH
    assert git(there.workspace.path, "fsck", "--strict", "--no-dangling") == ""
    base = here.base_commit
    assert await other_machine.diff(there.workspace, base) == await workspaces.diff(here, base)


async def test_packing_changes_nothing_visible_to_the_agent(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    (here.path / "two.txt").write_text("two\n")
    git(here.path, "add", "two.txt")
    saved = (await workspaces.save(here, "run_1/1"))["commit"]
    before = (
        workspace_state(here.path),
        git(here.path, "for-each-ref"),
        (here.path / ".git/index").read_bytes(),
    )

    await workspaces.bundle(here, since=here.base_commit, saved=saved)

    after = (
        workspace_state(here.path),
        git(here.path, "for-each-ref"),
        (here.path / ".git/index").read_bytes(),
    )
    assert before == after


async def test_a_workspace_without_work_has_nothing_to_carry(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    saved = (await workspaces.save(here, "run_1/1"))["commit"]

    assert await workspaces.bundle(here, since=here.base_commit) is None
    assert await workspaces.bundle(here, since=here.base_commit, saved=saved) is None


async def test_a_bundle_has_only_commits_missing_in_the_repository(
    workspaces: Workspaces, origin: Path
) -> None:
    (origin / "large.bin").write_bytes(os.urandom(2_000_000))
    commit(origin, "more.txt", "more\n", "Large")
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")

    bundle = await pack(workspaces, here)

    assert bundle.base_commit == here.base_commit
    assert len(bundle.data) < 2_000


@pytest.mark.parametrize("saves", [True, False])
async def test_work_without_a_repository_is_carried_in_full(
    workspaces: Workspaces, other_machine: Workspaces, saves: bool
) -> None:
    here = await prepare(workspaces, None)
    newest = commit(here.path, "one.txt", "one\n", "One")
    (here.path / "two.txt").write_text("two\n")

    there = await restore_from(other_machine, await pack(workspaces, here, saves=saves), None)

    assert git(there.workspace.path, "rev-parse", "main") == newest
    assert there.workspace.branch == "main"
    assert (there.workspace.path / "two.txt").exists() is saves


async def test_files_are_carried_before_the_first_commit(
    workspaces: Workspaces, other_machine: Workspaces, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.git"
    git(tmp_path, "init", "-q", "--bare", str(empty))
    for source in (None, empty):
        here = await workspaces.prepare(
            workspace_id=f"ws_{source is None}",
            source=None if source is None else str(source),
            branch=None,
            run_branch=RUN_BRANCH,
        )
        (here.path / "one.txt").write_text("one\n")

        there = await restore_from(other_machine, await pack(workspaces, here), source, here.id)

        assert await other_machine.head(there.workspace) is None
        assert there.workspace.branch == here.branch
        assert workspace_files(there.workspace.path) == workspace_files(here.path)
        assert git(there.workspace.path, "status", "--porcelain") == "?? one.txt"


async def test_an_empty_repository_has_nothing_to_carry(workspaces: Workspaces) -> None:
    here = await prepare(workspaces, None)
    saved = (await workspaces.save(here, "run_1/1"))["commit"]

    bundle = await workspaces.bundle(here, since=None, saved=None)

    assert bundle is None
    assert saved


async def test_a_detached_head_stays_detached(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    git(here.path, "checkout", "-q", "--detach")
    newest = commit(here.path, "one.txt", "one\n", "One")

    there = await restore_from(other_machine, await pack(workspaces, here), origin)

    assert there.workspace.branch is None
    assert await other_machine.head(there.workspace) == newest
    assert git(there.workspace.path, "status", "--porcelain") == ""


async def test_other_branches_of_the_agent_are_carried(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    git(here.path, "checkout", "-qb", "try-it")
    tried = commit(here.path, "try.txt", "try\n", "Try")
    git(here.path, "checkout", "-q", RUN_BRANCH)
    git(here.path, "branch", "-q", "-D", "trunk")

    bundle = await workspaces.bundle(here, since=here.base_commit)
    assert bundle is not None
    there = await restore_from(other_machine, bundle, origin)

    assert git(there.workspace.path, "rev-parse", "try-it") == tried
    assert git(there.workspace.path, "branch", "--format=%(refname:short)") == git(
        here.path, "branch", "--format=%(refname:short)"
    )


@pytest.mark.parametrize("how", ["amend", "rebase", "reset", "orphan"])
async def test_rewritten_history_is_carried_unchanged(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, how: str
) -> None:
    commit(origin, "second.txt", "second\n", "Second")
    here = await prepare(workspaces, origin)
    start = commit(here.path, "one.txt", "one\n", "One")
    if how == "amend":
        git(here.path, "commit", "-q", "--amend", "-m", "One, better")
    elif how == "rebase":
        git(here.path, "rebase", "-q", "--onto", "origin/feature/limits", "HEAD^")
    elif how == "reset":
        git(here.path, "reset", "-q", "--hard", "HEAD~2")
    else:
        git(here.path, "checkout", "-q", "--orphan", "anew")
        commit(here.path, "anew.txt", "anew\n", "Anew")

    bundle = await workspaces.bundle(here, since=here.base_commit, start=start)
    assert bundle is not None
    there = await restore_from(other_machine, bundle, origin)

    assert workspace_state(there.workspace.path) == workspace_state(here.path)
    assert workspace_files(there.workspace.path) == workspace_files(here.path)
    # A run that began at the rewritten commit still has its diff.
    assert await other_machine.diff(there.workspace, start) == await workspaces.diff(here, start)


async def test_work_is_carried_back_and_forth(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    (here.path / "draft.txt").write_text("draft\n")
    there = (await restore_from(other_machine, await pack(workspaces, here), origin)).workspace
    newest = commit(there.path, "two.txt", "two\n", "Two, with the draft")
    (there.path / "one.txt").unlink()

    back = await restore_from(workspaces, await pack(other_machine, there), origin)

    assert back.workspace == here
    assert await workspaces.head(here) == newest
    assert workspace_state(here.path) == workspace_state(there.path)
    assert workspace_files(here.path) == workspace_files(there.path)
    # It was carried before and is in the next commit; it is kept nevertheless.
    assert back.superseded_ref is not None
    assert git(here.path, "show", f"{back.superseded_ref}:draft.txt") == "draft"


async def test_a_reused_older_copy_keeps_its_ignored_files(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    commit(origin, ".gitignore", "cache/\n", "Ignore")
    here = await prepare(workspaces, origin)
    (here.path / "cache").mkdir()
    (here.path / "cache/a").write_text("expensive\n")
    commit(here.path, "one.txt", "one\n", "One")
    there = (await restore_from(other_machine, await pack(workspaces, here), origin)).workspace
    commit(there.path, "two.txt", "two\n", "Two")

    back = await restore_from(workspaces, await pack(other_machine, there), origin)

    assert not (there.path / "cache").exists()
    assert back.workspace.id == "ws_1"
    assert back.superseded_ref is None
    assert (here.path / "cache/a").read_text() == "expensive\n"
    assert git(here.path, "status", "--porcelain") == ""


@pytest.mark.parametrize("how", ["commit", "amended there", "merging", "no .git"])
async def test_a_copy_with_its_own_work_stays_and_a_new_one_is_created(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, how: str
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    there = (await restore_from(other_machine, await pack(workspaces, here), origin)).workspace
    newest = commit(there.path, "two.txt", "two\n", "Two")
    if how == "commit":
        commit(here.path, "own.txt", "own\n", "Own")
    elif how == "amended there":
        git(there.path, "reset", "-q", "--hard", "HEAD^")
        git(there.path, "commit", "-q", "--amend", "-m", "Other words")
        newest = git(there.path, "rev-parse", "HEAD")
    elif how == "merging":
        (here.path / ".git/MERGE_HEAD").write_text(f"{here.base_commit}\n")
    else:
        (here.path / ".git").rename(here.path / "git")
        (here.path / ".git").write_text("gitdir: git\n")
    before = workspace_files(here.path)

    back = await restore_from(workspaces, await pack(other_machine, there), origin)
    again = await restore_from(workspaces, await pack(other_machine, there), origin)

    assert back.workspace.id == "ws_1-2"
    assert again.workspace.id == "ws_1-3"
    assert await workspaces.head(back.workspace) == newest
    assert workspace_files(here.path) == before
    assert await workspaces.reopen("ws_1-2") == back.workspace


async def test_unpacking_twice_loses_nothing(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    (here.path / "draft.txt").write_text("draft\n")
    bundle = await pack(workspaces, here)
    first = await restore_from(other_machine, bundle, origin)

    second = await restore_from(other_machine, bundle, origin)

    assert second.workspace == first.workspace
    assert workspace_state(second.workspace.path) == workspace_state(here.path)
