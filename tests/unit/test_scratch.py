"""Temporary files are removed with their owner, even if it was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread

from bot.assembly.serve import temporary_files_in
from core.workspace.command import Git
from core.workspace.scratch import open_scratch, remove_abandoned
from core.workspace.settings import git_environment
from core.workspace.staging import staged_directory
from core.workspace.work.restore import unpack_into_clone
from core.workspace.work.worktree import open_worktree
from core.workspace.workspaces import Workspaces
from tests.unit.carried_workspaces import pack
from tests.unit.repositories import allowing, commit, git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]

CREATE_WORKSPACE = """
import sys
from pathlib import Path
from core.workspace.staging import staged_directory
from core.workspace.scratch import open_scratch, staging_path
home, workspace = Path(sys.argv[1]), Path(sys.argv[1], "workspaces", sys.argv[2])
with open_scratch(home) as scratch, staged_directory(workspace, scratch) as staged:
    (staged / ".git").mkdir(parents=True)
    (scratch.folder / "signalbox-1/git").mkdir(parents=True)
    staging_path(home / "gitconfig", scratch).touch()
    print(scratch.owner, flush=True)
    sys.stdin.read()
"""


@contextmanager
def workspace_maker(home: Path, workspace: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that is creating a workspace."""
    process = subprocess.Popen(
        [sys.executable, "-c", CREATE_WORKSPACE, str(home), workspace],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate(timeout=20)


def temporary_names(home: Path) -> set[str]:
    """Names of all temporary files."""
    folders = (home / "tmp", home / "workspaces", home)
    return {path.name for folder in folders for path in folder.iterdir() if path.name != "tmp"} - {
        "workspaces"
    }


def test_files_of_a_killed_process_are_removed_and_those_of_a_live_one_stay(
    tmp_path: Path,
) -> None:
    with (
        workspace_maker(tmp_path, "ws_1") as (dead, process),
        workspace_maker(tmp_path, "ws_2") as (living, _),
    ):
        while_both_live = temporary_names(tmp_path)
        assert remove_abandoned(tmp_path) == []
        process.kill()
        process.wait(timeout=20)
        before = temporary_names(tmp_path)

        removed = remove_abandoned(tmp_path)

        after = temporary_names(tmp_path)
    assert before == while_both_live
    assert len(removed) == 3
    assert {name for name in before if dead in name} == before - after
    assert {name for name in before if living in name} == after
    assert len(after) == 4


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "workspaces").mkdir()
    with open_scratch(tmp_path) as scratch:
        (scratch.folder / "file").touch()

    assert temporary_names(tmp_path) == set()


def test_incomplete_workspaces_of_an_earlier_version_are_removed(tmp_path: Path) -> None:
    (tmp_path / "workspaces/.ws_0123456789ab.0badcafe/.git").mkdir(parents=True)

    assert remove_abandoned(tmp_path) == [".ws_0123456789ab.0badcafe"]


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    names = {
        "workspaces/ws_0123456789ab/.git",
        "workspaces/ws_0123456789ab-2/.git",
        "workspaces/.Trash-1000/files",
        "workspaces/.ws_1.orig/.git",
        "tmp/somebody-elses",
        "tmp/claude-resume-1",
    }
    for name in names:
        (tmp_path / name).mkdir(parents=True)

    assert remove_abandoned(tmp_path) == []

    assert all((tmp_path / name).is_dir() for name in names)


def test_an_empty_home_is_no_error(tmp_path: Path) -> None:
    assert remove_abandoned(tmp_path / "none") == []


def test_concurrent_starts_keep_the_files_of_each_worker(tmp_path: Path) -> None:
    lost: list[str] = []

    def live(thread: int) -> None:
        for number in range(50):
            workspace = tmp_path / f"workspaces/ws_{thread}_{number}"
            with open_scratch(tmp_path) as scratch, staged_directory(workspace, scratch) as made:
                made.mkdir()
                remove_abandoned(tmp_path)
                if not (scratch.folder.is_dir() and made.is_dir()):
                    lost.append(scratch.owner)
                    made.mkdir(exist_ok=True)

    threads = [Thread(target=live, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert lost == []
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_git_uses_the_workers_temporary_directory(
    workspaces: Workspaces, origin: Path, tmp_path: Path
) -> None:
    here = await prepare(workspaces, origin)

    with open_scratch(tmp_path) as scratch:
        program = Git(
            environment=git_environment(),
            timeout=timedelta(seconds=30),
            global_config=None,
            temporary_dir=scratch.folder,
        )
        with open_worktree(program, here.path, known_id=None) as tree:
            looked_through = Path(tree.env["GIT_DIR"])

    assert looked_through.is_relative_to(scratch.folder)


def bundles_below(folder: Path) -> list[Path]:
    return list(folder.rglob("*.bundle"))


async def test_unpacking_leaves_no_temporary_file(
    workspaces: Workspaces, origin: Path, tmp_path: Path
) -> None:
    here = await prepare(workspaces, origin)
    commit(here.path, "one.txt", "one\n", "One")
    bundle = await pack(workspaces, here)
    git(tmp_path, "clone", "-q", "--no-checkout", str(origin), "there")
    program = Git(environment=git_environment(), timeout=timedelta(seconds=30), global_config=None)

    unpack_into_clone(program, tmp_path / "there", bundle)

    assert (tmp_path / "there" / "one.txt").read_text() == "one\n"
    assert bundles_below(tmp_path) == []


async def test_a_workspace_can_be_created_after_its_temporary_directory_was_removed(
    origin: Path, tmp_path: Path
) -> None:
    with open_scratch(tmp_path) as scratch:
        scratch.folder.rmdir()
        ours = Workspaces(
            tmp_path,
            git_timeout=timedelta(seconds=30),
            scratch=scratch,
            policy=allowing(tmp_path),
        )

        made = await prepare(ours, origin)

        assert (await ours.diff(made, made.base_commit)).files == ()


def test_libraries_use_the_processes_temporary_directory(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with temporary_files_in(tmp_path):
        made = Path(tempfile.mkdtemp(prefix="claude-resume-"))

    assert made.parent == tmp_path
    assert tempfile.gettempdir() == before
