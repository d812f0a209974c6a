"""Checkpoints of workspaces, with real repositories and the real git."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.work.carried_work import BundleTooLarge
from core.workspace.checkpoints.errors import (
    CheckpointGone,
    CheckpointTooLarge,
    RestoreFailed,
    RestoreRefused,
)
from core.workspace.workspaces import Workspaces
from tests.unit.carried_workspaces import other_machine
from tests.unit.checkpointed_workspaces import (
    checkpoint,
    checkpoint_of,
    files_of,
    impossible_commit,
    references_of,
    seen_by_agent,
    show,
)
from tests.unit.repositories import RUN_BRANCH, commit, git, origin, prepare, workspaces

pytestmark = pytest.mark.full_speed

__all__ = ["origin", "other_machine", "workspaces"]


async def test_a_checkpoint_has_the_files_and_changes_nothing_that_the_agent_sees(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, ".gitignore", "*.log\n", "Ignore logs")
    (here.path / "readme.md").write_text("changed\n")
    (here.path / "staged.txt").write_text("staged\n")
    git(here.path, "add", "staged.txt")
    (here.path / "new.txt").write_text("new\n")
    (here.path / "noise.log").write_text("noise\n")
    before = seen_by_agent(here.path)

    found, _ = await checkpoint(workspaces, here)

    assert seen_by_agent(here.path) == before
    listed = git(here.path, "ls-tree", "-r", "--name-only", found.commit).splitlines()
    assert listed == [".gitignore", "new.txt", "readme.md", "staged.txt"]
    assert show(here.path, found.commit, ["readme.md", "new.txt"]) == ["changed", "new"]
    assert found.branch == RUN_BRANCH
    assert found.head_commit == git(here.path, "rev-parse", "HEAD")
    assert found.diff is not None
    assert (found.diff.files, found.diff.added, found.diff.removed) == (4, 4, 2)


async def test_files_that_git_was_told_not_to_look_at_are_looked_at(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "skipped.txt", "old\n", "Add")
    git(here.path, "update-index", "--assume-unchanged", "readme.md")
    git(here.path, "update-index", "--skip-worktree", "skipped.txt")
    (here.path / "readme.md").write_text("changed\n")
    (here.path / "skipped.txt").write_text("changed, too\n")
    before = seen_by_agent(here.path)

    found, _ = await checkpoint(workspaces, here)

    assert seen_by_agent(here.path) == before
    assert show(here.path, found.commit, ["readme.md", "skipped.txt"]) == [
        "changed",
        "changed, too",
    ]


async def test_a_change_in_the_moment_of_the_last_index_is_seen(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    file, index = here.path / "readme.md", here.path / ".git" / "index"
    file.write_text("first\n")
    git(here.path, "add", "readme.md")
    status = file.stat()
    # The same size and, as on a disk with coarse times, the same time as the index.
    file.write_text("other\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(index, ns=(status.st_atime_ns, status.st_mtime_ns))

    found, _ = await checkpoint(workspaces, here)

    assert show(here.path, found.commit, ["readme.md"]) == ["other"]


async def test_nothing_new_is_the_same_commit_and_an_empty_bundle(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "new.txt").write_text("new\n")
    first = await workspaces.checkpoints.take(here, start=here.base_commit)
    basis = checkpoint_of(first, here)

    second = await workspaces.checkpoints.take(here, start=here.base_commit, previous=first)

    assert (first.is_new, second.is_new) == (True, False)
    assert second.commit == first.commit
    assert await workspaces.checkpoints.pack(here, second, basis=basis) == b""


async def test_too_many_changed_bytes_are_refused_with_the_numbers(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "large.bin").write_bytes(b"x" * 2_000_000)

    with pytest.raises(CheckpointTooLarge) as refused:
        await workspaces.checkpoints.take(here, start=None, max_bytes=1_000_000)

    assert "2 MB, limit 1 MB" in refused.value.user_message


async def test_a_bundle_above_the_limit_is_refused(workspaces: Workspaces, origin: Path) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "large.bin").write_bytes(os.urandom(300_000))
    taken = await workspaces.checkpoints.take(here, start=None)

    with pytest.raises(BundleTooLarge):
        await workspaces.checkpoints.pack(here, taken, basis=None, max_bytes=100_000)


@pytest.mark.parametrize("has_repository", [True, False])
async def test_each_of_a_chain_of_checkpoints_is_restored_on_another_machine(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, has_repository: bool
) -> None:
    source = origin if has_repository else None
    here = await prepare(workspaces, source)
    taken: list[Checkpoint] = []
    bundles: list[bytes] = []
    seen: list[dict[str, tuple[int, bytes]]] = []
    for number in range(3):
        if number == 2:
            commit(here.path, "2.txt", "2\n", "Commit")
        (here.path / f"large-{number}.bin").write_bytes(os.urandom(20_000))
        (here.path / f"draft-{number}").write_text(f"{number}\n")
        previous = taken[-1] if taken else None
        found, bundle = await checkpoint(workspaces, here, previous=previous)
        taken.append(found)
        bundles.append(bundle)
        seen.append(files_of(here.path))

    for number, found in enumerate(taken):
        there = await other_machine.checkpoints.create(
            found,
            workspace_id=f"ws_{number}",
            source=None if source is None else str(source),
            bundles=bundles[: number + 1],
        )
        path = there.workspace.path
        assert files_of(path) == seen[number]
        assert there.workspace.branch == here.branch
        heads = {name: tip for name, tip in found.references.items() if "/heads/" in name}
        assert references_of(path) == heads
        if found.head_commit is not None:
            assert git(path, "fsck", "--strict", "--no-dangling") == ""
    assert all(len(bundle) < 25_000 for bundle in bundles)


async def test_going_back_restores_files_head_and_index_and_keeps_what_came_after(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, ".gitignore", "*.log\n", "Ignore logs")
    (here.path / "readme.md").write_text("at the checkpoint\n")
    (here.path / "draft.txt").write_text("draft\n")
    found, _ = await checkpoint(workspaces, here)
    then, head = files_of(here.path), git(here.path, "rev-parse", "HEAD")
    later = commit(here.path, "later.txt", "later\n", "Later")
    (here.path / "draft.txt").unlink()
    (here.path / "appeared").mkdir()
    (here.path / "appeared" / "file.txt").write_text("appeared\n")
    (here.path / "noise.log").write_text("ignored\n")

    restored = await workspaces.checkpoints.restore(here, found, bundles=None, label="one")

    now = files_of(here.path)
    assert now.pop("noise.log")[1] == b"ignored\n"
    assert now == then
    assert not (here.path / "appeared").exists()
    assert git(here.path, "rev-parse", "HEAD") == head
    assert git(here.path, "symbolic-ref", "--short", "HEAD") == RUN_BRANCH
    assert git(here.path, "status", "--porcelain") == "M readme.md\n?? draft.txt"
    assert restored.kept_refs == {f"refs/heads/{RUN_BRANCH}": "refs/signalbox/before/one/commits"}
    assert git(here.path, "rev-parse", "refs/signalbox/before/one/commits") == later
    assert show(here.path, restored.safety_ref, ["appeared/file.txt", "later.txt"]) == [
        "appeared",
        "later",
    ]
    assert not (here.path / ".git" / "signalbox").exists()


async def test_a_rollback_of_files_leaves_head_branches_and_index(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "draft.txt").write_text("draft\n")
    found, _ = await checkpoint(workspaces, here)
    then = files_of(here.path)
    head = commit(here.path, "later.txt", "later\n", "Later")
    index = (here.path / ".git" / "index").read_bytes()

    restored = await workspaces.checkpoints.restore(
        here, found, bundles=None, label="two", files_only=True
    )

    assert files_of(here.path) == then
    assert git(here.path, "rev-parse", "HEAD") == head
    assert (here.path / ".git" / "index").read_bytes() == index
    assert restored.kept_refs == {}
    assert show(here.path, restored.safety_ref, ["later.txt"]) == ["later"]


async def test_the_preview_names_files_and_commits_and_changes_nothing(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    found, _ = await checkpoint(workspaces, here)
    later = commit(here.path, "later.txt", "one\ntwo\n", "Later")
    (here.path / "readme.md").write_text("hello\n")
    before = seen_by_agent(here.path)

    preview = await workspaces.checkpoints.preview(here, found, bundles=None)

    assert [(one.path, one.added, one.removed) for one in preview.files] == [
        ("later.txt", 2, 0),
        ("readme.md", 0, 1),
    ]
    assert [(one.sha, one.subject) for one in preview.commits] == [(later, "Later")]
    assert seen_by_agent(here.path) == before


async def test_a_restore_that_fails_leaves_everything_as_it_was(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "draft.txt").write_text("draft\n")
    found, _ = await checkpoint(workspaces, here)
    impossible = impossible_commit(here.path)
    commit(here.path, "later.txt", "later\n", "Later")
    (here.path / "readme.md").write_text("uncommitted\n")
    git(here.path, "add", "readme.md")
    (here.path / "readme.md").write_text("changed again\n")
    before = seen_by_agent(here.path, with_times=False)

    with pytest.raises(RestoreFailed) as failed:
        await workspaces.checkpoints.restore(
            here, replace(found, commit=impossible), bundles=None, label="three"
        )

    assert failed.value.is_undone
    assert seen_by_agent(here.path, with_times=False) == before


async def test_objects_that_are_nowhere_are_told_before_anything_is_changed(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "draft.txt").write_text("draft\n")
    found, bundle = await checkpoint(workspaces, here)
    there = await prepare(other_machine, origin)
    before = seen_by_agent(there.path)

    with pytest.raises(CheckpointGone):
        await other_machine.checkpoints.restore(there, found, bundles=None, label="four")
    assert seen_by_agent(there.path) == before
    await other_machine.checkpoints.restore(there, found, bundles=[bundle], label="five")

    assert files_of(there.path) == files_of(here.path)


async def test_an_ignored_file_in_the_way_is_saved_first(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "out").mkdir()
    (here.path / "out" / "a.txt").write_text("then\n")
    found, _ = await checkpoint(workspaces, here)
    (here.path / ".gitignore").write_text("out\n")
    (here.path / "out" / "a.txt").write_text("ignored now\n")
    (here.path / "out" / "b.txt").write_text("ignored, too\n")

    restored = await workspaces.checkpoints.restore(here, found, bundles=None, label="six")

    assert (here.path / "out" / "a.txt").read_text() == "then\n"
    assert (here.path / "out" / "b.txt").read_text() == "ignored, too\n"
    assert show(here.path, restored.safety_ref, ["out/a.txt"]) == ["ignored now"]


async def test_files_that_the_checkpoints_own_rules_ignore_stay(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, ".gitignore", "cache/\n", "Ignore")
    (here.path / "cache").mkdir()
    (here.path / "cache" / "x").write_text("x\n")
    found, _ = await checkpoint(workspaces, here)
    (here.path / ".gitignore").unlink()

    restored = await workspaces.checkpoints.restore(here, found, bundles=None, label="seven")

    assert (here.path / "cache" / "x").read_text() == "x\n"
    assert restored.left == ("cache/x",)
    assert restored.removed == 0
    assert (here.path / ".gitignore").read_text() == "cache/\n"


async def test_a_nested_repository_in_the_way_refuses_the_restore(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    (here.path / "lib").mkdir()
    (here.path / "lib" / "a.txt").write_text("ours\n")
    found, _ = await checkpoint(workspaces, here)
    (here.path / "lib" / "a.txt").unlink()
    git(here.path / "lib", "init", "-q")
    commit(here.path / "lib", "b.txt", "theirs\n", "Theirs")
    before = seen_by_agent(here.path)

    with pytest.raises(RestoreRefused) as refused:
        await workspaces.checkpoints.restore(here, found, bundles=None, label="eight")

    assert refused.value.path == "lib"
    assert seen_by_agent(here.path) == before


async def test_an_unfinished_merge_is_put_aside_not_thrown_away(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    found, _ = await checkpoint(workspaces, here)
    then = files_of(here.path)
    git(here.path, "checkout", "-qb", "other")
    commit(here.path, "readme.md", "theirs\n", "Theirs")
    git(here.path, "checkout", "-q", RUN_BRANCH)
    commit(here.path, "readme.md", "ours\n", "Ours")
    with pytest.raises(Exception, match="merge"):
        git(here.path, "merge", "other")

    await workspaces.checkpoints.restore(here, found, bundles=None, label="nine")

    assert files_of(here.path) == then
    assert not (here.path / ".git" / "MERGE_HEAD").exists()
    assert (here.path / ".git" / "signalbox" / "nine" / "MERGE_HEAD").exists()
    assert git(here.path, "status", "--porcelain") == ""


async def test_a_cancelled_restore_is_finished_first(workspaces: Workspaces, origin: Path) -> None:
    here = await prepare(workspaces, origin)
    found, _ = await checkpoint(workspaces, here)
    then = files_of(here.path)
    commit(here.path, "later.txt", "later\n", "Later")

    task = asyncio.create_task(
        workspaces.checkpoints.restore(here, found, bundles=None, label="ten")
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert files_of(here.path) == then
    assert git(here.path, "status", "--porcelain") == ""


async def test_pruning_deletes_the_references_of_other_checkpoints(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    first, _ = await checkpoint(workspaces, here)
    second, _ = await checkpoint(workspaces, here)

    deleted = await workspaces.checkpoints.prune(here, [second])

    assert deleted == 1
    assert references_of(here.path, "refs/signalbox/checkpoints/") == {
        second.reference: second.commit
    }
    assert first.reference != second.reference
