"""The references of a workspace are those that git knows, with as few processes as possible."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from core.workspace.command import Git
from core.workspace.work.references import branches_of, fetched_tips, start_state
from core.workspace.work.untrusted_files import copy_untrusted
from core.workspace.work.worktree import head_of
from tests.unit.repositories import commit, git

_BRANCHES = ("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/")


class CountedGit(Git):
    """Counts the processes."""

    def __init__(self) -> None:
        super().__init__(environment={}, timeout=timedelta(seconds=30), global_config=None)
        self.processes = 0

    def run(self, *arguments: str, **options: object) -> bytes:
        self.processes += 1
        return super().run(*arguments, **options)  # type: ignore[arg-type]


def new(path: Path) -> Path:
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    return path


def _commit(path: Path) -> None:
    commit(path, "a.txt", "a", "Add a")


def _packed(path: Path) -> None:
    _commit(path)
    git(path, "branch", "feat/one")
    git(path, "pack-refs", "--all")


def _empty_folder(path: Path) -> None:
    (path / ".git/refs/heads/feat/two").mkdir(parents=True)


def _other_branch(path: Path) -> None:
    _commit(path)
    git(path, "symbolic-ref", "HEAD", "refs/heads/feat/new")


def _detached(path: Path) -> None:
    _commit(path)
    git(path, "checkout", "-q", "--detach")
    git(path, "branch", "-D", "main")


def _foreign_head(path: Path) -> None:
    _commit(path)
    git(path, "update-ref", "refs/notes/here", "HEAD")
    git(path, "update-ref", "-d", "refs/heads/main")
    (path / ".git/HEAD").write_text("ref: refs/notes/here\n")


def _removed_folder(path: Path) -> None:
    shutil.rmtree(path / ".git/refs/heads")


@pytest.mark.parametrize(
    "change",
    [
        _commit,
        _packed,
        _empty_folder,
        _other_branch,
        _detached,
        _foreign_head,
        _removed_folder,
    ],
)
def test_the_state_is_the_one_that_git_tells(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = new(tmp_path / "work")
    change(path)
    program = CountedGit()

    listed = git(path, *_BRANCHES).splitlines()
    branches = {name: sha for sha, name in (line.split(" ") for line in listed)}
    head = program.run("rev-parse", "--quiet", "--verify", "HEAD^{commit}", cwd=path, accept=(0, 1))

    assert branches_of(program, path) == branches
    assert start_state(program, path) == (head.decode().strip() or None, branches)
    assert head_of(program, path) == (head.decode().strip() or None)


def test_a_new_repository_needs_no_process(tmp_path: Path) -> None:
    path = new(tmp_path / "work")
    program = CountedGit()

    assert start_state(program, path) == (None, {})
    assert fetched_tips(program, path) == set()
    assert program.processes == 0


def test_a_linked_folder_is_left_to_git(tmp_path: Path) -> None:
    path, other = new(tmp_path / "work"), new(tmp_path / "other")
    _commit(other)
    shutil.rmtree(path / ".git/refs/heads")
    (path / ".git/refs/heads").symlink_to(other / ".git/refs/heads")
    program = CountedGit()

    branches_of(program, path)

    assert program.processes == 1


def test_a_copied_index_keeps_its_time(tmp_path: Path) -> None:
    # With a newer time git would take a file for unchanged that was written again so soon after
    # the index that size and times are the same.
    path = new(tmp_path / "work")
    _commit(path)
    index = path / ".git/index"
    os.utime(index, ns=(1_700_000_000_000_000_001, 1_700_000_000_123_456_789))

    assert copy_untrusted(path, ".git/index", tmp_path / "copy", max_bytes=1_000_000)

    assert (tmp_path / "copy").stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert (tmp_path / "copy").read_bytes() == index.read_bytes()
