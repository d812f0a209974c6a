"""The changes of a run, and saving them without a visible effect for the agent."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.runs.work.diff import FileChange
from core.workspace.work import changes
from core.workspace.workspaces import Workspace, WorkspaceError, Workspaces
from tests.unit.repositories import allowing


def git(where: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=where, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return Workspaces(
        tmp_path / "a home", git_timeout=timedelta(seconds=30), policy=allowing(tmp_path)
    )


@pytest.fixture
async def workspace(workspaces: Workspaces, tmp_path: Path) -> Workspace:
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    git(origin, "config", "user.name", "Ada")
    git(origin, "config", "user.email", "ada@example.org")
    (origin / "code.py").write_text("".join(f"line {n}\n" for n in range(40)))
    (origin / "old name.txt").write_text("".join(f"text {n}\n" for n in range(40)))
    (origin / "logo.png").write_bytes(bytes(range(256)))
    (origin / ".gitignore").write_text("ignored/\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "Begin")
    return await workspaces.prepare(
        workspace_id="ws_1", source=str(origin), branch=None, run_branch="signalbox/x/run_1"
    )


def fingerprint(path: Path) -> dict[str, str]:
    """The state of the repository that the agent can see, without objects and private refs."""
    seen = {
        name: hashlib.sha256((path / ".git" / name).read_bytes()).hexdigest()
        for name in ("index", "HEAD", "config")
    }
    seen["branches"] = git(path, "for-each-ref", "refs/heads", "refs/remotes", "refs/tags")
    seen["status"] = git(path, "status", "--porcelain")
    return seen


async def test_uncommitted_and_untracked_work_counts_and_is_marked(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    path = workspace.path
    (path / "committed.txt").write_text("1\n2\n")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "Commit")
    (path / "staged.txt").write_text("1\n")
    git(path, "add", "staged.txt")
    (path / "größe 世界.txt").write_text("1\n2\n3\n")
    (path / "code.py").write_text("changed\n" + "".join(f"line {n}\n" for n in range(1, 40)))
    (path / "ignored").mkdir()
    (path / "ignored/x").write_text("x\n")
    before = fingerprint(path)

    stat = await workspaces.diff(workspace, workspace.base_commit)

    assert set(stat.files) == {
        FileChange(path="committed.txt", added=2, removed=0, committed=True),
        FileChange(path="staged.txt", added=1, removed=0, committed=False),
        FileChange(path="größe 世界.txt", added=3, removed=0, committed=False),
        FileChange(path="code.py", added=1, removed=1, committed=False),
    }
    assert stat.has_uncommitted
    assert (stat.added_lines, stat.removed_lines) == (7, 1)
    assert fingerprint(path) == before


async def test_binary_files_renames_and_deletions_are_distinguished(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    path = workspace.path
    (path / "logo.png").write_bytes(bytes(reversed(range(256))))
    (path / "old name.txt").rename(path / "new name.txt")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "Change")
    (path / "code.py").unlink()

    stat = await workspaces.diff(workspace, workspace.base_commit)

    assert set(stat.files) == {
        FileChange(path="logo.png", added=None, removed=None, committed=True),
        FileChange(path="old name.txt → new name.txt", added=0, removed=0, committed=True),
        FileChange(path="code.py", added=0, removed=40, committed=False),
    }


async def test_names_with_newlines_tabs_and_stray_bytes_are_listed(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    (workspace.path / "a\nb\tc.txt").write_text("1\n")
    (workspace.path / "-dash").write_text("1\n")
    (workspace.path / "bad").mkdir()
    (workspace.path / "bad/\udcff.txt").write_text("1\n")

    stat = await workspaces.diff(workspace, workspace.base_commit)

    assert [change.path for change in stat.files] == ["-dash", "a\nb\tc.txt", "bad/\ufffd.txt"]


async def test_without_a_base_everything_is_new(workspaces: Workspaces) -> None:
    workspace = await workspaces.prepare(
        workspace_id="ws_2", source=None, branch=None, run_branch="signalbox/x"
    )
    (workspace.path / "a.txt").write_text("1\n2\n")

    unborn = await workspaces.diff(workspace, None)
    git(workspace.path, "add", "-A")
    git(workspace.path, "commit", "-qm", "First")
    born = await workspaces.diff(workspace, None)

    assert unborn.files == (FileChange(path="a.txt", added=2, removed=0, committed=False),)
    assert unborn.commits == ()
    assert born.files == (FileChange(path="a.txt", added=2, removed=0, committed=True),)
    assert [made.subject for made in born.commits] == ["First"]


async def test_a_reset_before_the_base_is_shown_as_changes(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    path = workspace.path
    (path / "x.txt").write_text("x\n")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "X")
    base = await workspaces.head(workspace)
    git(path, "reset", "-q", "--hard", "HEAD~1")

    stat = await workspaces.diff(workspace, base)

    assert stat.files == (FileChange(path="x.txt", added=0, removed=1, committed=True),)
    assert stat.commits == ()


async def test_many_files_are_summed_in_a_last_line(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    for number in range(changes.MAX_FILES + 5):
        (workspace.path / f"f{number:05}").write_text("1\n")

    stat = await workspaces.diff(workspace, workspace.base_commit)

    assert len(stat.files) == changes.MAX_FILES + 1
    assert stat.files[-1].path == "… and 5 more files"
    assert stat.added_lines == changes.MAX_FILES + 5


async def test_saving_keeps_all_work_on_a_private_reference(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    path = workspace.path
    (path / "new.txt").write_text("new\n")
    (path / "code.py").write_text("changed\n")
    git(path, "add", "code.py")
    before = fingerprint(path)

    saved = await workspaces.save(workspace, "run_1/1")

    assert fingerprint(path) == before
    assert saved["ref"] == "refs/signalbox/run_1/1"
    assert saved["uncommitted_files"] == 2
    assert git(path, "show", "refs/signalbox/run_1/1:new.txt") == "new"
    assert git(path, "rev-parse", "refs/signalbox/run_1/1^") == workspace.base_commit
    assert saved["commit"] == git(path, "rev-parse", "refs/signalbox/run_1/1")


async def test_saving_works_repeatedly_and_before_the_first_commit(workspaces: Workspaces) -> None:
    workspace = await workspaces.prepare(
        workspace_id="ws_2", source=None, branch=None, run_branch="signalbox/x"
    )
    (workspace.path / "a.txt").write_text("1\n")

    first = await workspaces.save(workspace, "run_1/1")
    (workspace.path / "a.txt").write_text("2\n")
    second = await workspaces.save(workspace, "run_1/1")

    assert first["head"] is None
    assert first["commit"] != second["commit"]
    assert git(workspace.path, "show", "refs/signalbox/run_1/1:a.txt") == "2"


async def test_no_program_configured_by_the_agent_runs(
    workspaces: Workspaces, workspace: Workspace, tmp_path: Path
) -> None:
    path = workspace.path
    marker = tmp_path / "ran"
    script = tmp_path / "trap"
    script.write_text(f"#!/bin/sh\ntouch '{marker}'\ncat\n")
    script.chmod(0o755)
    trap = f"'{script}'"
    for key in (
        "core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "filter.trap.process",
        "diff.external", "diff.trap.command", "diff.trap.textconv", "core.pager", "gpg.program",
        "core.editor", "core.sshCommand", "core.alternateRefsCommand", "uploadpack.packObjectsHook",
    ):  # fmt: skip
        git(path, "config", key, trap)
    git(path, "config", "filter.trap.required", "true")
    git(path, "config", "core.hooksPath", str(tmp_path / "hooks"))
    (tmp_path / "hooks").mkdir()
    for hook in ("reference-transaction", "post-index-change", "pre-commit", "post-checkout"):
        (tmp_path / "hooks" / hook).symlink_to(script)
    (path / ".gitattributes").write_text("* filter=trap diff=trap\n")
    (path / "new.txt").write_text("new\n")

    stat = await workspaces.diff(workspace, workspace.base_commit)
    await workspaces.save(workspace, "run_1/1")
    await workspaces.reopen("ws_1")
    await workspaces.head(workspace)

    assert {change.path for change in stat.files} == {".gitattributes", "new.txt"}
    assert not marker.exists()


async def test_an_unfinished_merge_does_not_prevent_saving(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    path = workspace.path
    git(path, "checkout", "-qb", "other")
    (path / "code.py").write_text("theirs\n")
    git(path, "commit", "-qam", "Theirs")
    git(path, "checkout", "-q", "-")
    (path / "code.py").write_text("ours\n")
    git(path, "commit", "-qam", "Ours")
    with pytest.raises(subprocess.CalledProcessError):
        git(path, "merge", "-q", "other")
    before = (path / ".git/index").read_bytes()

    stat = await workspaces.diff(workspace, workspace.base_commit)
    await workspaces.save(workspace, "run_1/1")

    assert [(change.path, change.branch) for change in stat.files] == [
        ("code.py", None), ("code.py", "other"),
    ]  # fmt: skip
    assert "<<<<<<<" in git(path, "show", "refs/signalbox/run_1/1:code.py")
    assert (path / ".git/index").read_bytes() == before


async def test_repositories_inside_the_workspace_do_not_prevent_saving(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    path = workspace.path
    git(path, "init", "-q", "empty-inside")
    git(path, "init", "-q", "inside")
    (path / "inside/x").write_text("x\n")
    git(path / "inside", "add", "-A")
    git(path / "inside", "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "Inside")
    (path / "zzz.txt").write_text("after\n")

    stat = await workspaces.diff(workspace, workspace.base_commit)

    assert "zzz.txt" in {change.path for change in stat.files}


async def test_a_damaged_index_does_not_prevent_saving(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    (workspace.path / ".git/index").write_bytes(b"garbage")
    (workspace.path / "new.txt").write_text("new\n")

    stat = await workspaces.diff(workspace, workspace.base_commit)

    assert [change.path for change in stat.files] == ["new.txt"]


@pytest.mark.parametrize("damage", ["gone", "emptied"])
async def test_a_repository_the_agent_removed_is_a_clear_error(
    workspaces: Workspaces, workspace: Workspace, damage: str
) -> None:
    moved = workspace.path.parent / "moved"
    (workspace.path / ".git").rename(moved)
    if damage == "emptied":
        (workspace.path / ".git").mkdir()

    with pytest.raises(WorkspaceError) as raised:
        await workspaces.diff(workspace, workspace.base_commit)

    assert "no longer a git repository" in raised.value.user_message
    assert await workspaces.head(workspace) is None


async def test_a_missing_base_is_a_clear_error(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    with pytest.raises(WorkspaceError, match="is gone"):
        await workspaces.diff(workspace, "1" * 40)


@pytest.mark.parametrize("label", ["../heads/main", "a..b", "-x\n", "x.lock", "a b"])
async def test_labels_that_are_no_reference_names_are_refused(
    workspaces: Workspaces, workspace: Workspace, label: str
) -> None:
    with pytest.raises(WorkspaceError):
        await workspaces.save(workspace, label)


async def test_a_sha256_repository_works_too(workspaces: Workspaces, tmp_path: Path) -> None:
    origin = tmp_path / "sha256"
    git(tmp_path, "init", "-q", "--object-format=sha256", str(origin))
    (origin / "a.txt").write_text("a\n")
    git(origin, "add", "-A")
    git(origin, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "A")

    workspace = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/x"
    )
    (workspace.path / "b.txt").write_text("b\n")

    stat = await workspaces.diff(workspace, workspace.base_commit)
    assert [change.path for change in stat.files] == ["b.txt"]
    assert len(str((await workspaces.save(workspace, "r/1"))["commit"])) == 64
