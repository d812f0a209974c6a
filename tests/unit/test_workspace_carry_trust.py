"""Carried work that is hostile, damaged or outdated; and the quick read of HEAD."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.workspace.errors import WorkspaceError
from core.workspace.work.restore import UnusableBundle
from core.workspace.workspaces import Workspaces
from tests.limits import limit
from tests.unit.carried_workspaces import other_machine, pack, restore_from, workspace_files
from tests.unit.repositories import allowing, commit, git, origin, prepare, workspaces

pytestmark = pytest.mark.full_speed

__all__ = ["origin", "other_machine", "workspaces"]

HOOKS = ("post-checkout", "post-index-change", "reference-transaction", "post-commit", "update")


def plant_programs(path: Path, marker: Path) -> None:
    """Add every configuration by which a repository can run programs."""
    script = path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch '{marker}'\ncat\n")
    script.chmod(0o755)
    (path / ".gitattributes").write_text("* filter=evil diff=evil merge=evil text=auto\n")
    hooks = path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in HOOKS:
        (hooks / hook).write_text(f"#!/bin/sh\ntouch '{marker}'\n")
        (hooks / hook).chmod(0o755)
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
                "core.fsmonitor", "diff.evil.textconv", "core.sshCommand",
                "uploadpack.packObjectsHook", "core.pager", "gpg.program"):  # fmt: skip
        git(path, "config", key, str(script))
    git(path, "config", "core.hooksPath", str(hooks))


async def test_no_program_of_a_hostile_workspace_runs(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "something ran"
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    plant_programs(here.path, marker)

    bundle = await pack(workspaces, here)
    there = (await restore_from(other_machine, bundle, origin)).workspace
    commit(there.path, "two.txt", "two\n", "Two")
    plant_programs(there.path, marker)
    await restore_from(workspaces, await pack(other_machine, there), origin)

    assert not marker.exists()
    assert (here.path / "two.txt").exists()


async def test_missing_objects_of_a_workspace_are_not_fetched(
    workspaces: Workspaces, tmp_path: Path
) -> None:
    marker = tmp_path / "something ran"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch '{marker}'\nexit 1\n")
    script.chmod(0o755)
    here = await prepare(workspaces, None)
    remote = tmp_path / "remote"
    git(tmp_path, "init", "-q", "--bare", str(remote))
    for key, value in (("core.repositoryformatversion", "1"), ("extensions.partialClone", "o"),
                       ("remote.o.url", str(remote)), ("remote.o.promisor", "true"),
                       ("remote.o.uploadpack", str(script))):  # fmt: skip
        git(here.path, "config", key, value)
    branch = git(here.path, "symbolic-ref", "HEAD")
    (here.path / ".git" / branch).parent.mkdir(parents=True, exist_ok=True)
    (here.path / ".git" / branch).write_text("1" * 40 + "\n")

    for read_workspace in (
        lambda: workspaces.head(here),
        lambda: workspaces.save(here, "run_1/1"),
        lambda: workspaces.diff(here, None),
        lambda: workspaces.read_head_state(here),
        lambda: workspaces.bundle(here, since=None, saved=None),
    ):
        with suppress(WorkspaceError):
            await read_workspace()

    assert not marker.exists()


async def test_configuration_of_the_workspace_is_not_carried(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, tmp_path: Path
) -> None:
    here = await prepare(workspaces, origin)
    plant_programs(here.path, tmp_path / "marker")

    there = (await restore_from(other_machine, await pack(workspaces, here), origin)).workspace

    assert "evil" not in (there.path / ".git/config").read_text()
    assert not (there.path / ".git/hooks").exists()


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", "..", ".git\u200c"])
async def test_trees_with_paths_in_the_git_directory_are_refused(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, name: str
) -> None:
    here = await prepare(workspaces, origin)
    blob = _object(here.path, "blob", b"x")
    raw = b"100644 config\0" + bytes.fromhex(blob)
    inner = _object(here.path, "tree", raw)
    outer = _object(here.path, "tree", b"40000 " + name.encode() + b"\0" + bytes.fromhex(inner))
    evil = git(here.path, "commit-tree", outer, "-p", "HEAD", "-m", "Evil")
    git(here.path, "update-ref", "HEAD", evil)

    bundle = await workspaces.bundle(here, since=here.base_commit)
    assert bundle is not None
    with pytest.raises(UnusableBundle) as raised:
        await restore_from(other_machine, bundle, origin)

    assert "damaged" in raised.value.user_message
    assert await other_machine.reopen("ws_1") is None


def _object(path: Path, kind: str, raw: bytes) -> str:
    return subprocess.run(
        ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"],
        cwd=path, input=raw, capture_output=True, check=True,
    ).stdout.strip().decode()  # fmt: skip


async def test_links_to_outside_are_not_followed(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    here = await prepare(workspaces, origin)
    commit(here.path, "way/file.txt", "inside\n", "A directory")
    there = (await restore_from(other_machine, await pack(workspaces, here), origin)).workspace
    commit(there.path, "way/file.txt", "newer\n", "Newer")
    (here.path / "way/file.txt").unlink()
    (here.path / "way").rmdir()
    (here.path / "way").symlink_to(outside)

    await restore_from(workspaces, await pack(other_machine, there), origin)

    assert list(outside.iterdir()) == []
    assert not (here.path / "way").is_symlink()
    assert (here.path / "way/file.txt").read_text() == "newer\n"


async def test_a_damaged_bundle_is_refused_and_leaves_nothing(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n" * 1_000, "One")
    whole = await pack(workspaces, here)
    flipped = bytearray(whole.data)
    flipped[-60] ^= 0xFF

    for damaged in (
        replace(whole, data=bytes(flipped)),
        replace(whole, data=whole.data[:-40]),
        replace(whole, data=b"no bundle"),
        replace(whole, data=b""),
        replace(whole, head_commit="0" * 40),
        replace(whole, head_commit="--upload-pack=touch"),
    ):
        with pytest.raises(UnusableBundle):
            await restore_from(other_machine, damaged, origin)

    assert await other_machine.reopen("ws_1") is None
    assert list((other_machine.root / "workspaces").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["refs/heads/../../HEAD", "refs/heads/a\ndelete HEAD", "HEAD", "refs/remotes/origin/x"]
)
async def test_reference_names_cannot_point_elsewhere(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, name: str
) -> None:
    here = await prepare(workspaces, origin)
    newest = commit(here.path, "one.txt", "one\n", "One")
    bundle = await pack(workspaces, here)
    assert bundle.head_commit is not None
    odd = replace(bundle, references={**bundle.references, name: newest})

    try:
        there = await restore_from(other_machine, odd, origin)
    except UnusableBundle:
        assert await other_machine.reopen("ws_1") is None
        return

    assert name not in git(there.workspace.path, "for-each-ref", "--format=%(refname)").split()
    assert git(there.workspace.path, "symbolic-ref", "HEAD") == f"refs/heads/{here.branch}"


async def test_a_start_commit_without_a_branch_is_fetched_by_its_hash(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    git(origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    commit(origin, "second.txt", "second\n", "Second")
    here = await prepare(workspaces, origin)
    newest = commit(here.path, "one.txt", "one\n", "One")
    git(origin, "commit", "-q", "--amend", "-m", "Second, rewritten")

    there = await restore_from(other_machine, await pack(workspaces, here), origin)

    assert await other_machine.head(there.workspace) == newest


async def test_a_missing_start_commit_is_named_with_advice(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    commit(origin, "second.txt", "second\n", "Second")
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    git(origin, "reset", "-q", "--hard", "HEAD^")
    git(origin, "reflog", "expire", "--expire=now", "--all")
    git(origin, "gc", "-q", "--prune=now")
    bundle = await pack(workspaces, here)

    with pytest.raises(UnusableBundle) as raised:
        await restore_from(other_machine, bundle, origin)

    assert str(here.base_commit)[:12] in raised.value.user_message
    assert "Push that commit" in raised.value.user_message


async def test_a_deleted_branch_of_the_repository_does_not_prevent_a_restore(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin, "feature/limits")
    commit(here.path, "one.txt", "one\n", "One")
    git(origin, "merge", "-q", "feature/limits")
    git(origin, "branch", "-q", "-d", "feature/limits")

    there = await restore_from(other_machine, await pack(workspaces, here), origin)

    assert workspace_files(there.workspace.path) == workspace_files(here.path)


async def test_the_work_of_a_shallow_repository_is_carried(
    workspaces: Workspaces, other_machine: Workspaces, origin: Path, tmp_path: Path
) -> None:
    commit(origin, "more.txt", "more\n", "More")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{origin}", "shallow")
    here = await prepare(workspaces, tmp_path / "shallow")
    newest = commit(here.path, "one.txt", "one\n", "One")
    (here.path / "draft.txt").write_text("draft\n")

    there = await restore_from(other_machine, await pack(workspaces, here), tmp_path / "shallow")

    assert await other_machine.head(there.workspace) == newest
    assert workspace_files(there.workspace.path) == workspace_files(here.path)


async def test_the_quick_read_distinguishes_a_commit_from_none(
    workspaces: Workspaces, origin: Path
) -> None:
    here = await prepare(workspaces, origin)
    seen = [await workspaces.read_head_state(here)]
    (here.path / "one.txt").write_text("one\n")
    git(here.path, "add", "-A")
    unchanged = await workspaces.read_head_state(here)
    git(here.path, "commit", "-qm", "One")
    seen.append(await workspaces.read_head_state(here))
    git(here.path, "pack-refs", "--all")
    git(here.path, "commit", "-q", "--allow-empty", "-m", "Two")
    git(here.path, "pack-refs", "--all")
    seen.append(await workspaces.read_head_state(here))
    git(here.path, "checkout", "-q", "--detach", "HEAD^")
    seen.append(await workspaces.read_head_state(here))

    assert unchanged == seen[0]
    assert len(set(seen)) == 4


async def test_the_quick_read_does_not_block_on_special_files(
    workspaces: Workspaces, origin: Path, tmp_path: Path
) -> None:
    here = await prepare(workspaces, origin)
    head = here.path / ".git/HEAD"
    head.unlink()
    os.mkfifo(head)

    async with limit(5):
        assert await workspaces.read_head_state(here) == ""
    head.unlink()
    (tmp_path / "secret").write_text("secret")
    head.symlink_to(tmp_path / "secret")
    assert await workspaces.read_head_state(here) == ""
    head.unlink()
    head.write_text("ref: refs/heads/../../../../etc/passwd\n")
    assert "root" not in await workspaces.read_head_state(here)


async def test_packing_is_bounded_in_time(origin: Path, tmp_path: Path) -> None:
    slow = Workspaces(
        tmp_path / "a home", git_timeout=timedelta(seconds=30), policy=allowing(tmp_path)
    )
    here = await prepare(slow, origin)
    commit(here.path, "one.txt", "one\n", "One")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await slow.bundle(here, since=here.base_commit)

    assert await slow.bundle(here, since=here.base_commit)
