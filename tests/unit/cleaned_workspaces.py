"""Workspaces as agents leave them, and what is to be the same once they are restored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from core.domain.runs.work.carried_work import Bundle
from core.domain.workspaces.policy import DEFAULT_DISPOSABLE
from core.domain.workspaces.stay import Stay
from core.workspace.cleaning.cleaner import Examined, Stays, WorkspaceCleaner
from core.workspace.workspaces import Workspace, Workspaces
from tests.limits import patient
from tests.unit import workspace_states as states
from tests.unit.carried_workspaces import workspace_files
from tests.unit.repositories import allowing, commit, git, prepare


def cleaner_of(workspaces: Workspaces, max_bytes: int = 25_000_000) -> WorkspaceCleaner:
    return WorkspaceCleaner(workspaces, DEFAULT_DISPOSABLE, max_bytes)


def new_origin(folder: Path) -> Path:
    path = folder / "the origin"
    path.mkdir()
    git(path, "init", "-q", "-b", "trunk")
    commit(path, "readme.md", "hello\nworld\n", "Begin")
    git(path, "tag", "v0")
    return path


def new_workspaces(folder: Path, name: str) -> Workspaces:
    return Workspaces(
        folder / name, git_timeout=timedelta(seconds=patient(30)), policy=allowing(folder)
    )


def local_state(path: Path) -> tuple[object, ...]:
    """What a person would miss: files, HEAD, branches."""
    files = {
        name: content
        for name, content in workspace_files(path).items()
        if "node_modules" not in name.split("/")
    }
    head = (path / ".git" / "HEAD").read_text()
    branches = git(path, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads")
    return files, head, branches


async def examined(
    workspaces: Workspaces, workspace: Workspace, *, max_bytes: int = 25_000_000
) -> Examined | Stay:
    """What the examination says, with the workspace left as it is."""
    try:
        return await cleaner_of(workspaces, max_bytes).examine_newest(
            workspace.id, repo=workspace.repo
        )
    except Stays as stays:
        return stays.stay


async def restored_elsewhere(folder: Path, workspace: Workspace, bundle: Bundle) -> Path:
    elsewhere = new_workspaces(folder, "another home")
    restored = await elsewhere.restore(
        workspace_id=workspace.id, source=workspace.repo, bundle=bundle
    )
    return restored.workspace.path


async def leave(folder: Path, acts: Sequence[states.Act]) -> tuple[Workspaces, Workspace, Path]:
    origin = new_origin(folder)
    workspaces = new_workspaces(folder, "a home")
    workspace = await prepare(workspaces, origin)
    for act in acts:
        act(workspace.path, origin)
    return workspaces, workspace, origin
