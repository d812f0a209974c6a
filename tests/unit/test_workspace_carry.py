"""Work carried to another machine, with real repositories and the real git."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.carried import Bundle, TooLarge
from core.workspace.workspaces import Restored, Workspace, WorkspaceError, Workspaces
from tests.unit.repositories import RUN_BRANCH, commit, git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]

ODD_NAMES = ["with space.txt", "new\nline.txt", 'quo"te.txt', "ünïcode.txt", "-dash", "a/b/c.txt"]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Workspaces:
    """The workspaces of another machine."""
    return Workspaces(tmp_path / "other home", git_timeout=timedelta(seconds=30))


async def packed(workspaces: Workspaces, workspace: Workspace, *, saves: bool = True) -> Bundle:
    """All of a workspace, as a leg leaves it that is handed over."""
    saved = (await workspaces.save(workspace, "run_1/1"))["commit"] if saves else None
    bundle = await workspaces.bundle(workspace, since=workspace.base_commit, saved=saved)
    assert bundle is not None
    return bundle


async def restored(
    elsewhere: Workspaces, bundle: Bundle, source: Path | None, workspace_id: str = "ws_1"
) -> Restored:
    return await elsewhere.restore(
        workspace_id=workspace_id, source=None if source is None else str(source), bundle=bundle
    )


def state(path: Path) -> tuple[str, ...]:
    """What a person sees of a workspace: HEAD, branch, history, changes."""
    return (
        git(path, "symbolic-ref", "HEAD"),
        git(path, "log", "--format=%H %s") if git(path, "branch", "--list") else "",
        git(path, "status", "--porcelain", "-z", "--untracked-files=all"),
    )


def files(path: Path) -> dict[str, tuple[str, bytes]]:
    """Every file with its kind and content."""
    found: dict[str, tuple[str, bytes]] = {}
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        if name.startswith(".git/") or (file.is_dir() and not file.is_symlink()):
            continue
        if file.is_symlink():
            found[name] = "link", os.fsencode(file.readlink())
        else:
            found[name] = f"{file.stat().st_mode & 0o100:o}", file.read_bytes()
    return found


async def test_commits_and_uncommitted_work_arrive_as_they_were(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path
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

    there = await restored(elsewhere, await packed(workspaces, here), origin)

    assert state(there.workspace.path) == state(here.path)
    assert files(there.workspace.path) == files(here.path)
    assert there.workspace == replace(here, path=there.workspace.path)
    assert there.workspace.branch == RUN_BRANCH
    assert git(there.workspace.path, "fsck", "--strict", "--no-dangling") == ""
    base = here.base_commit
    assert await elsewhere.diff(there.workspace, base) == await workspaces.diff(here, base)


async def test_packing_changes_nothing_that_the_agent_sees(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    (here.path / "two.txt").write_text("two\n")
    git(here.path, "add", "two.txt")
    saved = (await workspaces.save(here, "run_1/1"))["commit"]
    before = (
        state(here.path),
        git(here.path, "for-each-ref"),
        (here.path / ".git/index").read_bytes(),
    )

    await workspaces.bundle(here, since=here.base_commit, saved=saved)

    after = (
        state(here.path),
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


async def test_a_bundle_holds_what_the_repository_lacks_and_no_more(
    workspaces: Workspaces, origin: Path
) -> None:
    (origin / "large.bin").write_bytes(os.urandom(2_000_000))
    commit(origin, "more.txt", "more\n", "Large")
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")

    bundle = await packed(workspaces, here)

    assert bundle.base_commit == here.base_commit
    assert len(bundle.data) < 2_000


@pytest.mark.parametrize("saves", [True, False])
async def test_work_on_no_repository_is_carried_whole(
    workspaces: Workspaces, elsewhere: Workspaces, saves: bool
) -> None:
    here = await prepare(workspaces, None)
    newest = commit(here.path, "one.txt", "one\n", "One")
    (here.path / "two.txt").write_text("two\n")

    there = await restored(elsewhere, await packed(workspaces, here, saves=saves), None)

    assert git(there.workspace.path, "rev-parse", "main") == newest
    assert there.workspace.branch == "main"
    assert (there.workspace.path / "two.txt").exists() is saves


async def test_files_are_carried_before_the_first_commit(
    workspaces: Workspaces, elsewhere: Workspaces, tmp_path: Path
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

        there = await restored(elsewhere, await packed(workspaces, here), source, here.id)

        assert await elsewhere.head(there.workspace) is None
        assert there.workspace.branch == here.branch
        assert files(there.workspace.path) == files(here.path)
        assert git(there.workspace.path, "status", "--porcelain") == "?? one.txt"


async def test_an_empty_repository_has_nothing_to_carry(workspaces: Workspaces) -> None:
    here = await prepare(workspaces, None)
    saved = (await workspaces.save(here, "run_1/1"))["commit"]

    bundle = await workspaces.bundle(here, since=None, saved=None)

    assert bundle is None
    assert saved


async def test_a_detached_head_stays_detached(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    git(here.path, "checkout", "-q", "--detach")
    newest = commit(here.path, "one.txt", "one\n", "One")

    there = await restored(elsewhere, await packed(workspaces, here), origin)

    assert there.workspace.branch is None
    assert await elsewhere.head(there.workspace) == newest
    assert git(there.workspace.path, "status", "--porcelain") == ""


async def test_other_branches_of_the_agent_come_along(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    git(here.path, "checkout", "-qb", "try-it")
    tried = commit(here.path, "try.txt", "try\n", "Try")
    git(here.path, "checkout", "-q", RUN_BRANCH)
    git(here.path, "branch", "-q", "-D", "trunk")

    bundle = await workspaces.bundle(here, since=here.base_commit)
    assert bundle is not None
    there = await restored(elsewhere, bundle, origin)

    assert git(there.workspace.path, "rev-parse", "try-it") == tried
    assert git(there.workspace.path, "branch", "--format=%(refname:short)") == git(
        here.path, "branch", "--format=%(refname:short)"
    )


@pytest.mark.parametrize("how", ["amend", "rebase", "reset", "orphan"])
async def test_rewritten_history_is_carried_as_it_is(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path, how: str
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
    there = await restored(elsewhere, bundle, origin)

    assert state(there.workspace.path) == state(here.path)
    assert files(there.workspace.path) == files(here.path)
    # The run that began at the commit that was rewritten has its diff all the same.
    assert await elsewhere.diff(there.workspace, start) == await workspaces.diff(here, start)


async def test_work_goes_back_and_forth(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    (here.path / "draft.txt").write_text("draft\n")
    there = (await restored(elsewhere, await packed(workspaces, here), origin)).workspace
    newest = commit(there.path, "two.txt", "two\n", "Two, with the draft")
    (there.path / "one.txt").unlink()

    back = await restored(workspaces, await packed(elsewhere, there), origin)

    assert back.workspace == here
    assert await workspaces.head(here) == newest
    assert state(here.path) == state(there.path)
    assert files(here.path) == files(there.path)
    # It was carried before, and is in the next commit; it is kept all the same.
    assert back.kept is not None
    assert git(here.path, "show", f"{back.kept}:draft.txt") == "draft"


async def test_an_older_copy_keeps_its_ignored_files_as_it_goes_on(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path
) -> None:
    commit(origin, ".gitignore", "cache/\n", "Ignore")
    here = await prepare(workspaces, origin)
    (here.path / "cache").mkdir()
    (here.path / "cache/a").write_text("dear\n")
    commit(here.path, "one.txt", "one\n", "One")
    there = (await restored(elsewhere, await packed(workspaces, here), origin)).workspace
    commit(there.path, "two.txt", "two\n", "Two")

    back = await restored(workspaces, await packed(elsewhere, there), origin)

    assert not (there.path / "cache").exists()
    assert back.workspace.id == "ws_1"
    assert back.kept is None
    assert (here.path / "cache/a").read_text() == "dear\n"
    assert git(here.path, "status", "--porcelain") == ""


@pytest.mark.parametrize("how", ["commit", "amended there", "merging", "no .git"])
async def test_a_copy_with_work_of_its_own_is_left_and_another_made_beside_it(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path, how: str
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    there = (await restored(elsewhere, await packed(workspaces, here), origin)).workspace
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
    before = files(here.path)

    back = await restored(workspaces, await packed(elsewhere, there), origin)
    again = await restored(workspaces, await packed(elsewhere, there), origin)

    assert back.workspace.id == "ws_1-2"
    assert again.workspace.id == "ws_1-3"
    assert await workspaces.head(back.workspace) == newest
    assert files(here.path) == before
    assert await workspaces.reopen("ws_1-2") == back.workspace


async def test_a_copy_that_was_unpacked_already_is_unpacked_again_without_loss(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    (here.path / "draft.txt").write_text("draft\n")
    bundle = await packed(workspaces, here)
    first = await restored(elsewhere, bundle, origin)

    second = await restored(elsewhere, bundle, origin)

    assert second.workspace == first.workspace
    assert state(second.workspace.path) == state(here.path)


async def test_submodules_and_nested_repositories_are_named_as_left_empty(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path, tmp_path: Path
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

    there = await restored(elsewhere, await packed(workspaces, here), origin)

    assert there.left_empty == ("nested", "sub")
    assert list((there.workspace.path / "nested").iterdir()) == []
    assert (there.workspace.path / "beside.txt").read_text() == "beside\n"
    assert not (there.workspace.path / "begun").exists()


async def test_a_bundle_over_the_limit_is_refused(workspaces: Workspaces, origin: Path) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "large.bin").write_bytes(os.urandom(300_000))
    commit(here.path, "one.txt", "one\n", "One")

    with pytest.raises(TooLarge) as far:
        await workspaces.bundle(here, since=here.base_commit, max_bytes=10_000)
    with pytest.raises(TooLarge) as near:
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


async def test_a_repository_made_anew_by_the_agent_is_carried_whole(
    workspaces: Workspaces, elsewhere: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    shutil.rmtree(here.path / ".git")
    git(here.path, "init", "-q", "-b", "mine")
    newest = commit(here.path, "one.txt", "one\n", "One")

    there = await restored(elsewhere, await packed(workspaces, here), origin)

    assert await elsewhere.head(there.workspace) == newest
    assert there.workspace.branch == "mine"
    assert files(there.workspace.path) == files(here.path)
