"""The commits and changes of a run, on whatever branch it made them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.domain.runs.work.diff import DiffStat, StartState
from core.workspace.workspaces import Workspace, Workspaces
from tests.unit.repositories import RUN_BRANCH, commit, git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]

LONG_AGO = "2001-01-01T00:00:00Z"


def commit_of_others(where: Path, name: str, text: str, subject: str) -> str:
    """A commit that somebody else made before the run."""
    (where / name).write_text(text)
    git(where, "add", "-A")
    subprocess.run(
        [
            "git",
            "-c",
            "user.name=Bob",
            "-c",
            "user.email=bob@example.org",
            "commit",
            "-qm",
            subject,
        ],
        cwd=where,
        check=True,
        env={**os.environ, "GIT_COMMITTER_DATE": LONG_AGO, "GIT_AUTHOR_DATE": LONG_AGO},
    )
    return git(where, "rev-parse", "HEAD")


def import_commits(where: Path, count: int, *, after: str | None) -> None:
    """Add empty commits to the run's branch, quickly."""
    now = int(datetime.now(UTC).timestamp())
    stream = f"reset refs/heads/{RUN_BRANCH}\nfrom {after}\n\n" + "".join(
        f"commit refs/heads/{RUN_BRANCH}\ncommitter A <a@b> {now} +0000\ndata 1\nc\n"
        for _ in range(count)
    )
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"], cwd=where, input=stream.encode(), check=True
    )


class Working:
    """A workspace whose state at the start is known."""

    def __init__(self, workspaces: Workspaces, workspace: Workspace, start: StartState) -> None:
        self.workspaces = workspaces
        self.workspace = workspace
        self.start = start
        self.path = workspace.path

    async def diff(self) -> DiffStat:
        return await self.workspaces.diff(self.workspace, self.start)


async def start_of(workspaces: Workspaces, workspace: Workspace) -> StartState:
    commit, branches = await workspaces.start_state(workspace)
    return StartState(
        commit=commit,
        branches=branches,
        at=datetime.now(UTC) - timedelta(seconds=2),
    )


@pytest.fixture
async def work(workspaces: Workspaces, origin: Path) -> Working:
    workspace = await prepare(workspaces, origin)
    return Working(workspaces, workspace, await start_of(workspaces, workspace))


def shown_files(stat: DiffStat) -> dict[str, tuple[int | None, int | None, str | None]]:
    return {file.path: (file.added, file.removed, file.branch) for file in stat.files}


def shown_commits(stat: DiffStat) -> list[tuple[str, str | None]]:
    return [(one.subject, one.branch) for one in stat.commits]


async def test_a_commit_on_another_branch_is_found_after_going_back(work: Working) -> None:
    git(work.path, "checkout", "-qb", "feat")
    commit(work.path, "feature.py", "1\n2\n", "Add the feature")
    git(work.path, "checkout", "-q", RUN_BRANCH)

    stat = await work.diff()

    assert stat.branch == RUN_BRANCH
    assert shown_commits(stat) == [("Add the feature", "feat")]
    assert shown_files(stat) == {"feature.py": (2, 0, "feat")}
    assert (stat.added_lines, stat.file_count, stat.commit_count) == (2, 1, 1)


async def test_a_committed_change_that_is_undone_without_a_commit_is_not_committed(
    work: Working,
) -> None:
    commit(work.path, "kept.py", "1\n", "Keep")
    commit(work.path, "gone.py", "1\n2\n", "Add it")
    (work.path / "gone.py").unlink()

    stat = await work.diff()

    assert shown_files(stat) == {"kept.py": (1, 0, None), "gone.py": (0, 0, None)}
    assert {file.path for file in stat.files if not file.committed} == {"gone.py"}
    assert stat.has_uncommitted


async def test_the_branch_at_the_end_is_named_after_staying_there_or_renaming(
    work: Working,
) -> None:
    git(work.path, "checkout", "-qb", "feat")
    commit(work.path, "a.py", "1\n", "A")
    stayed = await work.diff()
    git(work.path, "branch", "-m", "feat", "feature/renamed")

    renamed = await work.diff()

    assert (stayed.branch, shown_commits(stayed)) == ("feat", [("A", "feat")])
    assert renamed.branch == "feature/renamed"
    assert shown_commits(renamed) == [("A", "feature/renamed")]
    assert shown_files(renamed) == {"a.py": (1, 0, None)}


async def test_each_branch_is_named_with_its_own_commits(work: Working) -> None:
    commit(work.path, "main.py", "1\n", "On the run's branch")
    git(work.path, "checkout", "-qb", "one")
    commit(work.path, "one.py", "1\n", "On one")
    git(work.path, "checkout", "-qb", "two", RUN_BRANCH)
    commit(work.path, "two.py", "1\n2\n", "On two")
    git(work.path, "checkout", "-q", RUN_BRANCH)

    stat = await work.diff()

    assert set(shown_commits(stat)) == {
        ("On the run's branch", RUN_BRANCH), ("On one", "one"), ("On two", "two"),
    }  # fmt: skip
    assert shown_files(stat) == {
        "main.py": (1, 0, None), "one.py": (1, 0, "one"), "two.py": (2, 0, "two"),
    }  # fmt: skip


async def test_commits_of_others_that_came_by_a_merge_are_counted_apart(
    work: Working, origin: Path
) -> None:
    commit_of_others(origin, "theirs.py", "t\n" * 50, "Theirs")
    commit(work.path, "mine.py", "1\n", "Mine")
    git(work.path, "fetch", "-q", "origin")
    git(work.path, "merge", "-q", "--no-ff", "-m", "Merge theirs", "origin/trunk")

    stat = await work.diff()

    assert [subject for subject, _ in shown_commits(stat)] == ["Mine", "Merge theirs"]
    assert stat.merged_commits == 1
    assert shown_files(stat) == {"mine.py": (1, 0, None)}


@pytest.mark.parametrize("by", ["merge --ff-only origin/trunk", "pull -q --ff-only {origin} trunk"])
async def test_commits_of_others_that_came_by_a_fast_forward_are_not_the_runs(
    work: Working, origin: Path, by: str
) -> None:
    commit_of_others(origin, "theirs.py", "t\n" * 50, "Theirs")
    git(work.path, "fetch", "-q", "origin")
    git(work.path, *(part.format(origin=origin) for part in by.split()))
    commit(work.path, "mine.py", "1\n", "Mine")

    stat = await work.diff()

    assert shown_commits(stat) == [("Mine", RUN_BRANCH)]
    assert stat.merged_commits == 1
    assert shown_files(stat) == {"mine.py": (1, 0, None)}


async def test_work_rebased_onto_that_of_others_stays_the_runs(work: Working, origin: Path) -> None:
    commit_of_others(origin, "theirs.py", "t\n" * 50, "Theirs")
    commit(work.path, "mine.py", "1\n", "Mine")
    git(work.path, "fetch", "-q", "origin")
    git(work.path, "rebase", "-q", "origin/trunk")

    stat = await work.diff()

    assert shown_commits(stat) == [("Mine", RUN_BRANCH)]
    assert (stat.merged_commits, shown_files(stat)) == (1, {"mine.py": (1, 0, None)})


async def test_a_conflict_that_the_run_resolved_counts_as_its_own(
    work: Working, origin: Path
) -> None:
    commit_of_others(origin, "readme.md", "theirs\nworld\n", "Theirs")
    commit(work.path, "readme.md", "mine\nworld\n", "Mine")
    git(work.path, "fetch", "-q", "origin")
    with pytest.raises(subprocess.CalledProcessError):
        git(work.path, "merge", "-q", "origin/trunk")
    commit(work.path, "readme.md", "both\nworld\n", "Resolve")

    stat = await work.diff()

    assert [subject for subject, _ in shown_commits(stat)] == ["Mine", "Resolve"]
    assert stat.merged_commits == 1
    assert shown_files(stat) == {"readme.md": (1, 1, None)}


async def test_pushed_commits_stay_the_runs_whoever_signs_them(work: Working) -> None:
    commit(work.path, "mine.py", "1\n", "Mine, as Ada")
    git(work.path, "push", "-q", "origin", f"{RUN_BRANCH}:feat")

    stat = await work.diff()

    assert shown_commits(stat) == [("Mine, as Ada", RUN_BRANCH)]
    assert stat.merged_commits == 0


async def test_an_own_branch_that_was_merged_counts_as_own(work: Working) -> None:
    git(work.path, "checkout", "-qb", "feat")
    commit(work.path, "feature.py", "1\n", "Feature")
    git(work.path, "checkout", "-q", RUN_BRANCH)
    git(work.path, "merge", "-q", "--no-ff", "-m", "Merge feat", "feat")
    git(work.path, "branch", "-D", "feat")

    stat = await work.diff()

    assert [subject for subject, _ in shown_commits(stat)] == ["Feature", "Merge feat"]
    assert (stat.merged_commits, shown_files(stat)) == (0, {"feature.py": (1, 0, None)})


async def test_looking_at_the_branch_of_others_changes_nothing(work: Working) -> None:
    git(work.path, "checkout", "-q", "-b", "look", "origin/feature/limits")
    work.start = StartState(
        commit=work.start.commit,
        branches=work.start.branches,
        at=datetime.now(UTC) + timedelta(seconds=2),
    )

    stat = await work.diff()

    assert (stat.files, stat.commits, stat.branch) == ((), (), "look")


async def test_a_detached_commit_is_found_and_named_after_no_branch(work: Working) -> None:
    git(work.path, "checkout", "-q", "--detach")
    commit(work.path, "a.py", "1\n", "Detached")

    stat = await work.diff()

    assert stat.branch is None
    assert shown_commits(stat) == [("Detached", None)]
    assert shown_files(stat) == {"a.py": (1, 0, None)}


@pytest.mark.parametrize("is_detached", [False, True])
async def test_commits_in_a_linked_worktree_are_found(
    work: Working, tmp_path: Path, is_detached: bool
) -> None:
    how = ("--detach",) if is_detached else ("-b", "feat")
    sibling = tmp_path / "sibling"
    git(work.path, "worktree", "add", "-q", *how, str(sibling))
    commit(sibling, "beside.py", "1\n", "Beside")

    stat = await work.diff()

    name = None if is_detached else "feat"
    assert shown_commits(stat) == [("Beside", name)]
    assert shown_files(stat) == {"beside.py": (1, 0, name)}


async def test_work_of_an_earlier_leg_on_another_branch_is_not_counted_again(
    work: Working,
) -> None:
    git(work.path, "checkout", "-qb", "feat")
    commit(work.path, "a.py", "1\n", "Of the first leg")
    git(work.path, "checkout", "-q", RUN_BRANCH)
    work.start = await start_of(work.workspaces, work.workspace)

    nothing = await work.diff()
    git(work.path, "checkout", "-q", "feat")
    moved = await work.diff()

    assert (nothing.files, nothing.commits) == ((), ())
    assert (moved.files, moved.commits, moved.branch) == ((), (), "feat")


async def test_an_amended_commit_counts_once(work: Working) -> None:
    commit(work.path, "a.py", "1\n", "First try")
    (work.path / "a.py").write_text("1\n2\n")
    git(work.path, "commit", "-qa", "--amend", "-m", "Second try")

    stat = await work.diff()

    assert shown_commits(stat) == [("Second try", RUN_BRANCH)]
    assert shown_files(stat) == {"a.py": (2, 0, None)}


async def test_all_commits_are_counted_though_not_all_are_listed(work: Working) -> None:
    import_commits(work.path, 205, after=work.start.commit)

    stat = await work.diff()

    assert (len(stat.commits), stat.commit_count) == (200, 205)


async def test_what_was_saved_is_measured_without_reading_the_files_again(work: Working) -> None:
    (work.path / "new.py").write_text("1\n")
    saved = await work.workspaces.save(work.workspace, "run_1/1")
    (work.path / "later.py").write_text("1\n")

    stat = await work.workspaces.diff(work.workspace, work.start, saved=saved)

    assert shown_files(stat) == {"new.py": (1, 0, None)}
    assert stat.has_uncommitted


async def test_nothing_is_saved_if_all_is_committed(work: Working) -> None:
    commit(work.path, "a.py", "1\n", "A")

    saved = await work.workspaces.save(work.workspace, "run_1/1", only_if_uncommitted=True)

    assert saved == {
        "head": git(work.path, "rev-parse", "HEAD"),
        "tree": git(work.path, "rev-parse", "HEAD^{tree}"),
        "uncommitted_files": 0,
    }
    assert git(work.path, "for-each-ref", "refs/signalbox") == ""


def hide_nested_repository(path: Path) -> bytes:
    """Let a sparse index say that a collapsed folder has a nested repository; git never does."""
    head = git(path, "rev-parse", "HEAD")
    collapsed = git(path, "rev-parse", "HEAD:hidden")
    entry = f"160000 commit {head}\tnested\n"
    made = subprocess.run(
        ["git", "mktree", "--missing"], cwd=path, input=entry.encode(), check=True,
        capture_output=True,
    ).stdout.decode().strip()  # fmt: skip
    index = path / ".git" / "index"
    content = index.read_bytes()[:-20].replace(bytes.fromhex(collapsed), bytes.fromhex(made))
    content += hashlib.sha1(content, usedforsecurity=False).digest()
    index.write_bytes(content)
    return content


async def test_a_nested_repository_hidden_in_a_sparse_index_is_forgotten(work: Working) -> None:
    commit(work.path, "kept/a.py", "1\n", "A")
    commit(work.path, "hidden/b.py", "1\n", "B")
    git(work.path, "sparse-checkout", "set", "--cone", "--sparse-index", "kept")
    index = await asyncio.to_thread(hide_nested_repository, work.path)

    saved = await work.workspaces.save(work.workspace, "run_1/1")

    assert b"sdir" in index
    assert (0o160000).to_bytes(4, "big") not in index
    assert "160000" not in git(work.path, "ls-tree", "-r", str(saved["tree"]))


async def test_a_start_on_a_branch_that_is_not_utf_8_has_its_commit(work: Working) -> None:
    head = git(work.path, "rev-parse", "HEAD")
    git(work.path, "checkout", "-q", "-b", os.fsdecode(b"caf\xe9"))

    base, branches = await work.workspaces.start_state(work.workspace)

    assert base == head
    assert all("caf" not in branch for branch in branches)
