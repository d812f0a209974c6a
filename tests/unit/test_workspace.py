"""Creating and finding workspaces, with real repositories and the real git."""

from __future__ import annotations

import asyncio
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.runs.work.diff import CommitInfo
from core.workspace.errors import GitFailed, translate_os_errors
from core.workspace.workspaces import WorkspaceError, Workspaces
from tests.unit.repositories import RUN_BRANCH, commit, git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]

EMPTY_HOOK = "#!/bin/sh\ntouch {marker}\n"


def change_owner(path: Path) -> None:
    """Change its owner to another user, if permitted."""
    if os.geteuid() == 0:
        for inner in (path, *path.rglob("*")):
            os.lchown(inner, 12345, 12345)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
async def test_a_clone_is_on_its_own_branch_at_the_repositorys_head(
    workspaces: Workspaces, origin: Path, form: str
) -> None:
    source = form.format(str(origin).replace(" ", "%20") if "file:" in form else origin)

    workspace = await prepare(workspaces, source)

    assert workspace.branch == RUN_BRANCH
    assert workspace.base_commit == git(origin, "rev-parse", "trunk")
    assert workspace.repo == source
    assert (workspace.path / "readme.md").read_text() == "hello\nworld\n"
    assert git(workspace.path, "remote", "get-url", "origin") == source
    assert git(workspace.path, "status", "--porcelain") == ""
    assert not (workspace.path / ".git/objects/info/alternates").exists()


async def test_the_agent_can_commit_without_any_configuration(
    workspaces: Workspaces, origin: Path, tmp_path: Path
) -> None:
    workspace = await prepare(workspaces, origin)

    (workspace.path / "new.txt").write_text("new\n")
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "nowhere")}
    git(workspace.path, "add", "-A")
    await asyncio.to_thread(
        subprocess.run, ["git", "commit", "-qm", "Work"], cwd=workspace.path, env=bare, check=True
    )

    assert await workspaces.head(workspace) != workspace.base_commit


async def test_a_workspace_without_a_source_is_an_empty_repository_on_main(
    workspaces: Workspaces,
) -> None:
    workspace = await prepare(workspaces, None)

    assert workspace.branch == "main"
    assert workspace.base_commit is None
    assert workspace.repo is None
    assert await workspaces.head(workspace) is None
    assert (await workspaces.diff(workspace, None)).files == ()


async def test_an_empty_repository_can_be_cloned(workspaces: Workspaces, tmp_path: Path) -> None:
    empty = tmp_path / "empty.git"
    git(tmp_path, "init", "-q", "--bare", str(empty))

    workspace = await prepare(workspaces, empty)

    assert workspace.base_commit is None
    assert workspace.branch == RUN_BRANCH


async def test_another_users_repository_can_be_read(workspaces: Workspaces, origin: Path) -> None:
    change_owner(origin)

    workspace = await prepare(workspaces, origin)

    assert (workspace.path / "readme.md").exists()


async def test_submodules_and_hooks_of_the_source_are_not_used(
    workspaces: Workspaces, origin: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    commit(inner, "secret.txt", "inner\n", "Inner")
    git(
        origin, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub"
    )
    git(origin, "commit", "-qm", "Add a submodule")
    marker = tmp_path / "hook ran"
    for hook in ("post-checkout", "post-update", "pre-auto-gc"):
        script = origin / ".git/hooks" / hook
        script.parent.mkdir(exist_ok=True)
        script.write_text(EMPTY_HOOK.format(marker=f"'{marker}'"))
        script.chmod(0o755)

    workspace = await prepare(workspaces, origin)

    assert list((workspace.path / "sub").iterdir()) == []
    assert not marker.exists()


async def test_a_shallow_source_works(workspaces: Workspaces, origin: Path, tmp_path: Path) -> None:
    commit(origin, "more.txt", "more\n", "More")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{origin}", "shallow")

    workspace = await prepare(workspaces, tmp_path / "shallow")
    commit(workspace.path, "new.txt", "new\n", "New")

    stat = await workspaces.diff(workspace, workspace.base_commit)
    assert [change.path for change in stat.files] == ["new.txt"]
    assert [made.subject for made in stat.commits] == ["New"]


async def test_a_workspace_is_found_with_its_source(workspaces: Workspaces, origin: Path) -> None:
    made = await prepare(workspaces, origin)
    newest = commit(made.path, "new.txt", "new\n", "New")
    (made.path / ".git/index.lock").touch()

    found = await workspaces.reopen("ws_1")

    assert found == made
    assert await workspaces.head(made) == newest
    git(made.path, "add", "-A")


async def test_an_unknown_workspace_is_not_found(workspaces: Workspaces) -> None:
    assert await workspaces.reopen("ws_unknown") is None


@pytest.mark.parametrize("name", ["../../etc", "", "a/b", "-x", ".hidden", "x" * 65, "a\nb"])
async def test_ids_that_are_paths_are_refused(workspaces: Workspaces, name: str) -> None:
    with pytest.raises(WorkspaceError):
        await workspaces.reopen(name)


async def test_an_unwritable_root_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    workspaces = Workspaces(tmp_path / "file/root", git_timeout=timedelta(seconds=5))

    with pytest.raises(WorkspaceError) as raised:
        await prepare(workspaces, None)

    assert str(tmp_path) not in raised.value.user_message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("fatal: cannot write: No space left on device", "disk of the worker is full"),
        ("error: Disk quota exceeded", "disk of the worker is full"),
        ("fatal: could not create: Read-only file system", "may not write"),
        ("anything else", "Try again"),
    ],
)
def test_disk_errors_of_git_reach_the_person(said: str, expected: str) -> None:
    assert expected in GitFailed("clone", 128, said).user_message


@pytest.mark.parametrize(
    ("number", "expected"), [(28, "disk of the worker is full"), (13, "may not write")]
)
def test_file_system_errors_reach_the_person(number: int, expected: str) -> None:
    with pytest.raises(WorkspaceError) as raised, translate_os_errors():
        raise OSError(number, os.strerror(number), "/secret/path")

    assert expected in raised.value.user_message
    assert "/secret" not in raised.value.user_message


async def test_commits_are_listed_oldest_first(workspaces: Workspaces, origin: Path) -> None:
    workspace = await prepare(workspaces, origin)
    first = commit(workspace.path, "a.txt", "a\n", "First: ünïcode 🎉")
    second = commit(workspace.path, "b.txt", "b\n", "Second\n\nwith a body")

    stat = await workspaces.diff(workspace, workspace.base_commit)

    assert stat.commits == (
        CommitInfo(sha=first, subject="First: ünïcode 🎉", branch=RUN_BRANCH),
        CommitInfo(sha=second, subject="Second", branch=RUN_BRANCH),
    )
