"""The changed lines of a workspace, as a worker keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.web.dashboard.diff.entries import file_entries
from bot.web.dashboard.diff.patch_files import FileStatus, patch_files
from core.domain.runs.work.diff import StartState
from core.workspace.work import patches
from core.workspace.work.changes import Measured
from core.workspace.workspaces import Workspace, Workspaces
from tests.unit.repositories import git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]


@pytest.fixture
async def workspace(workspaces: Workspaces, origin: Path) -> Workspace:
    return await prepare(workspaces, origin)


async def measured(workspaces: Workspaces, workspace: Workspace) -> Measured:
    return await workspaces.measure(workspace, StartState(commit=workspace.base_commit))


async def test_the_lines_are_those_that_are_counted(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    path = workspace.path
    (path / "readme.md").write_text("hello\nthere\n")
    git(path, "commit", "-qam", "Change")
    (path / "größe 世界.txt").write_text("1\n2\n")
    (path / "logo.png").write_bytes(bytes(range(256)))

    found = await measured(workspaces, workspace)

    assert found.patch is not None
    files = patch_files(found.patch.text)
    entries = file_entries(found.diff, files, is_cut=found.patch.is_cut)
    assert {(one.shown, one.status, one.added, one.removed) for one in entries} == {
        ("readme.md", FileStatus.MODIFIED, 1, 1),
        ("größe 世界.txt", FileStatus.ADDED, 2, 0),
        ("logo.png", FileStatus.ADDED, None, None),
    }
    assert [(one.added, one.removed) for one in files if not one.is_binary] in (
        [(2, 0), (1, 1)],
        [(1, 1), (2, 0)],
    )


async def test_secrets_are_not_kept(workspaces: Workspaces, workspace: Workspace) -> None:
    token = "ghp_" + "a1B2" * 9
    key = "\n".join(
        ["-----BEGIN RSA PRIVATE KEY-----", *["QUJD" * 16] * 5, "-----END RSA PRIVATE KEY-----"]
    )
    (workspace.path / "token.txt").write_text(f"before\n{token}\nafter\n")
    (workspace.path / "key.pem").write_text(f"{key}\n")

    found = await measured(workspaces, workspace)

    assert found.patch is not None
    assert token not in found.patch.text
    assert "QUJDQUJD" not in found.patch.text
    assert "+before\n" in found.patch.text
    notes = {one.path: one.note for one in patch_files(found.patch.text)}
    assert notes["token.txt"] == ""
    # Either its lines are gone, or each of them says that it was left out.
    assert "key.pem" in notes


async def test_much_text_is_cut_at_a_line(workspaces: Workspaces, workspace: Workspace) -> None:
    for number in range(6):
        text = "".join(f"{number} {'x' * 90} {line}\n" for line in range(9_000))
        (workspace.path / f"f{number}.txt").write_text(text)
    (workspace.path / "large.txt").write_text("x" * 3_000_000)

    found = await measured(workspaces, workspace)

    assert found.patch is not None
    assert found.patch.is_cut
    assert len(found.patch.text) <= patches.MAX_BYTES
    *whole, last = patch_files(found.patch.text)
    assert {one.added for one in whole} == {9_000}
    assert 0 < last.added < 9_000
    assert found.diff.added_lines == 54_001


async def test_a_run_that_changed_nothing_has_no_lines(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    found = await measured(workspaces, workspace)

    assert found.patch is not None
    assert (found.patch.text, found.diff.files) == ("", ())
