"""Functions for tests that pack, unpack and compare carried workspaces."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.runs.work.carried_work import Bundle
from core.workspace.workspaces import Restored, Workspace, Workspaces
from tests.unit.repositories import allowing, git


@pytest.fixture
def other_machine(tmp_path: Path) -> Workspaces:
    """The workspaces of another machine."""
    return Workspaces(
        tmp_path / "other home", git_timeout=timedelta(seconds=30), policy=allowing(tmp_path)
    )


async def pack(workspaces: Workspaces, workspace: Workspace, *, saves: bool = True) -> Bundle:
    """All of a workspace, as packed when a run is handed over."""
    saved = (await workspaces.save(workspace, "run_1/1"))["commit"] if saves else None
    bundle = await workspaces.bundle(workspace, since=workspace.base_commit, saved=saved)
    assert bundle is not None
    return bundle


async def restore_from(
    other_machine: Workspaces, bundle: Bundle, source: Path | None, workspace_id: str = "ws_1"
) -> Restored:
    return await other_machine.restore(
        workspace_id=workspace_id, source=None if source is None else str(source), bundle=bundle
    )


def workspace_state(path: Path) -> tuple[str, ...]:
    """The visible state of a workspace: HEAD, branch, history, changes."""
    return (
        git(path, "symbolic-ref", "HEAD"),
        git(path, "log", "--format=%H %s") if git(path, "branch", "--list") else "",
        git(path, "status", "--porcelain", "-z", "--untracked-files=all"),
    )


def workspace_files(path: Path) -> dict[str, tuple[str, bytes]]:
    """Every file with its kind and content; reading a pipe would wait for ever."""
    found: dict[str, tuple[str, bytes]] = {}
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        if name.startswith(".git/") or (file.is_dir() and not file.is_symlink()):
            continue
        if file.is_symlink():
            found[name] = "link", os.fsencode(file.readlink())
        elif not file.is_file():
            found[name] = "special", b""
        else:
            found[name] = f"{file.stat().st_mode & 0o100:o}", file.read_bytes()
    return found
