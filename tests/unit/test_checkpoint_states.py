"""Checkpoints of repositories in any state change nothing, and bring it back exactly."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.workspace.workspaces import Workspace, Workspaces
from tests.unit.checkpointed_workspaces import (
    checkpoint,
    files_of,
    references_of,
    seen_by_agent,
)
from tests.unit.repositories import RUN_BRANCH, allowing, commit, git

pytestmark = pytest.mark.full_speed

NAMES = ["a.txt", "dir/b.txt", "dir/deep/c.txt", "ünï code.txt", "x.log", "cache/y"]
TEXTS = st.sampled_from(["", "one\n", "one\ntwo\n", "two\n", "\0binary\0", "crlf\r\n"])


@dataclass(frozen=True)
class Act:
    """Something that an agent does to its workspace."""

    name: str
    do: Callable[[Path], object]

    def __repr__(self) -> str:
        return self.name


def try_git(path: Path, *arguments: str) -> None:
    """Run git as an agent does, who may get an error."""
    options = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", *options, *arguments], cwd=path, check=False, capture_output=True)


def write(name: str, text: str) -> Act:
    def do(path: Path) -> None:
        file = path / name
        if file.parent.is_file() or file.is_dir() or (file.parent / ".git").exists():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(text.encode())

    return Act(f"write {name} {text!r}", do)


def remove(name: str) -> Act:
    return Act(f"remove {name}", lambda path: _unlink(path / name))


def _unlink(file: Path) -> None:
    if file.is_file() or file.is_symlink():
        file.unlink()


def link(name: str) -> Act:
    def do(path: Path) -> None:
        file = path / name
        if file.parent.is_dir() and not file.is_dir():
            file.unlink(missing_ok=True)
            file.symlink_to("readme.md")

    return Act(f"link {name}", do)


def executable(name: str) -> Act:
    def do(path: Path) -> None:
        if (path / name).is_file() and not (path / name).is_symlink():
            (path / name).chmod(0o755)

    return Act(f"chmod {name}", do)


def of_git(*arguments: str) -> Act:
    return Act(f"git {' '.join(arguments)}", lambda path: try_git(path, *arguments))


def _nested(path: Path) -> None:
    nested = path / "nested"
    if not nested.exists():
        nested.mkdir()
        try_git(nested, "init", "-q")
        (nested / "inner.txt").write_text("inner\n")
        try_git(nested, "add", "-A")
        try_git(nested, "commit", "-qm", "Inner")


def _merge(path: Path) -> None:
    try_git(path, "checkout", "-q", "-B", "theirs", "HEAD")
    (path / "readme.md").write_text("theirs\n")
    try_git(path, "commit", "-qam", "Theirs")
    try_git(path, "checkout", "-q", "-B", "ours", "HEAD~1")
    (path / "readme.md").write_text("ours\n")
    try_git(path, "commit", "-qam", "Ours")
    try_git(path, "merge", "theirs")


ACTS = st.one_of(
    st.builds(write, st.sampled_from(NAMES), TEXTS),
    st.builds(remove, st.sampled_from([*NAMES, "readme.md"])),
    st.builds(link, st.sampled_from(NAMES)),
    st.builds(executable, st.sampled_from(NAMES)),
    st.sampled_from(
        [
            of_git("add", "-A"),
            of_git("add", "a.txt"),
            of_git("add", "-N", "a.txt"),
            of_git("commit", "-qam", "Commit"),
            of_git("commit", "-q", "--allow-empty", "-m", "Nothing"),
            of_git("commit", "-q", "--amend", "--allow-empty", "-m", "Amended"),
            of_git("checkout", "-q", "--detach"),
            of_git("checkout", "-q", "-b", "other"),
            of_git("checkout", "-q", RUN_BRANCH),
            of_git("branch", "-M", "renamed"),
            of_git("stash", "-q"),
            of_git("reset", "-q", "--hard", "HEAD~1"),
            of_git("rm", "-q", "--cached", "readme.md"),
            of_git("update-index", "--assume-unchanged", "readme.md"),
            of_git("update-index", "--skip-worktree", "a.txt"),
            of_git("worktree", "add", "-q", "../linked", "-b", "linked"),
            of_git("gc", "-q"),
            write(".gitignore", "*.log\ncache/\n"),
            remove(".gitignore"),
            Act("a nested repository", _nested),
            Act("a merge with a conflict", _merge),
        ]
    ),
)
HISTORIES = st.lists(ACTS, max_size=7)


def _origin(folder: Path) -> Path:
    origin = folder / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "trunk")
    commit(origin, "readme.md", "hello\nworld\n", "Begin")
    return origin


async def _prepared(folder: Path) -> tuple[Workspaces, Workspace]:
    workspaces = Workspaces(
        folder / "home", git_timeout=timedelta(seconds=60), policy=allowing(folder)
    )
    workspace = await workspaces.prepare(
        workspace_id="ws_1",
        source=str(await asyncio.to_thread(_origin, folder)),
        branch=None,
        run_branch=RUN_BRANCH,
    )
    return workspaces, workspace


def _kept_files(path: Path) -> dict[str, tuple[int, bytes]]:
    """The files that a checkpoint has: not ignored, and not of a nested repository."""
    listed = git(path, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = {name for name in listed.split("\0") if name}
    return {
        name: content
        for name, content in files_of(path).items()
        if name in names and not name.startswith("nested/")
    }


def _head(path: Path) -> tuple[str, str]:
    branch = subprocess.run(
        ["git", "symbolic-ref", "-q", "HEAD"], cwd=path, check=False, capture_output=True, text=True
    ).stdout
    return branch.strip(), git(path, "rev-parse", "HEAD")


@settings(
    max_examples=int(os.environ.get("CHECKPOINT_EXAMPLES", "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(before=HISTORIES, after=HISTORIES)
def test_a_checkpoint_changes_nothing_and_a_restore_brings_back_exactly_its_state(
    before: list[Act], after: list[Act]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_check(Path(folder), before, after))


async def _check(folder: Path, before: list[Act], after: list[Act]) -> None:
    workspaces, here = await _prepared(folder)
    for act in before:
        await asyncio.to_thread(act.do, here.path)
    seen = seen_by_agent(here.path)
    found, bundle = await checkpoint(workspaces, here)
    assert seen_by_agent(here.path) == seen
    then, head = _kept_files(here.path), _head(here.path)

    for act in after:
        await asyncio.to_thread(act.do, here.path)
    changed = seen_by_agent(here.path)
    await workspaces.checkpoints.preview(here, found, bundles=[bundle])
    assert seen_by_agent(here.path) == changed
    now, tips = files_of(here.path), references_of(here.path)
    restored = await workspaces.checkpoints.restore(here, found, bundles=[bundle], label="back")

    left = files_of(here.path)
    assert {name: left.get(name) for name in then} == then
    assert _head(here.path) == head
    # Whatever is gone or different now is on the safety reference, or was no file of ours.
    names = git(here.path, "ls-tree", "-r", "-z", "--name-only", restored.safety_ref).split("\0")
    gone = {name for name, content in now.items() if left.get(name) != content}
    assert gone <= set(names)
    # Commits that a branch had are on a branch, or on a private reference.
    for name, tip in tips.items():
        holders = git(here.path, "for-each-ref", "--contains", tip)
        assert holders, name
    there = Workspaces(folder / "other", git_timeout=timedelta(seconds=60), policy=allowing(folder))
    elsewhere = await there.checkpoints.create(
        found, workspace_id="ws_1", source=str(folder / "origin"), bundles=[bundle]
    )
    copied = files_of(elsewhere.workspace.path)
    assert copied == then
    assert _head(elsewhere.workspace.path) == head
