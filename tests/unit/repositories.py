"""A real git repository, and workspaces made from it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.reach.repositories import HostRule, RepositoryPolicy
from core.workspace.workspaces import Workspace, Workspaces

RUN_BRANCH = "signalbox/implement/run_0123456789ab"


def git(where: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=where, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(where: Path, name: str, text: str, subject: str) -> str:
    file = where / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    git(where, "add", "-A")
    git(where, "commit", "-qm", subject)
    return git(where, "rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with two branches, in a directory with a space."""
    path = tmp_path / "the origin"
    path.mkdir()
    git(path, "init", "-q", "-b", "trunk")
    commit(path, "readme.md", "hello\nworld\n", "Begin")
    git(path, "checkout", "-qb", "feature/limits")
    commit(path, "limits.py", "LIMIT = 1\n", "Limit")
    git(path, "checkout", "-q", "trunk")
    return path


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return Workspaces(
        tmp_path / "a home", git_timeout=timedelta(seconds=30), policy=allowing(tmp_path)
    )


def allowing(*folders: Path, hosts: Sequence[str] = ()) -> RepositoryPolicy:
    """A policy that lists the folders of a test, and hosts."""
    rules = tuple(HostRule.parse(host) for host in hosts)
    return RepositoryPolicy(hosts=rules, local=folders)


async def prepare(
    workspaces: Workspaces, source: Path | str | None, branch: str | None = None
) -> Workspace:
    return await workspaces.prepare(
        workspace_id="ws_1",
        source=None if source is None else str(source),
        branch=branch,
        run_branch=RUN_BRANCH,
    )
