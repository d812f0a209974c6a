"""Reaching a repository: what is none, hosts that refuse or hang, and what git is told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from core.workspace.errors import UnreachableRepository
from core.workspace.workspaces import WorkspaceError, Workspaces
from tests.unit.repositories import commit, git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]


@pytest.mark.parametrize("kind", ["missing", "plain directory", "file", "inside"])
async def test_what_is_no_repository_is_said_to_be_none(
    workspaces: Workspaces, origin: Path, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "something"
    if kind == "plain directory":
        place.mkdir()
    if kind == "file":
        place.write_text("a file")
    if kind == "inside":
        place = origin / "subdirectory"
        place.mkdir()

    with pytest.raises(UnreachableRepository) as raised:
        await prepare(workspaces, place)

    assert "repository" in raised.value.user_message or "directory" in raised.value.user_message
    assert await workspaces.reopen("ws_1") is None


async def test_a_host_that_does_not_answer_is_named_without_the_credentials(
    workspaces: Workspaces,
) -> None:
    with pytest.raises(UnreachableRepository) as raised:
        await prepare(workspaces, "https://ada:s3cr3t-t0ken@127.0.0.1:9/acme/api.git")

    assert "https://127.0.0.1:9/acme/api.git" in raised.value.user_message
    assert "s3cr3t" not in f"{raised.value}{raised.value.user_message}{raised.value.__cause__!r}"


FakeSsh = Callable[[str], Workspaces]


@pytest.fixture
def over_ssh(tmp_path: Path) -> FakeSsh:
    """Workspaces whose `ssh` is a script."""

    def make(script: str, timeout: float = 30) -> Workspaces:
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "ssh").chmod(0o755)
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path / "nowhere"),
        }
        return Workspaces(
            tmp_path / "a home",
            git_timeout=timedelta(seconds=timeout),
            environment=environment,
        )

    return make


@pytest.mark.parametrize("form", ["ssh://git@host.example{}", "git@host.example:{}"])
async def test_a_repository_behind_ssh_is_cloned(
    over_ssh: FakeSsh, tmp_path: Path, form: str
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    git(plain, "init", "-q", "-b", "trunk")
    newest = commit(plain, "a.txt", "a\n", "A")
    # The last argument is the command for the other side.
    workspaces = over_ssh(
        f'echo "$@" >> "{tmp_path}/asked"\nfor last in "$@"; do :; done\nexec sh -c "$last"'
    )

    workspace = await prepare(workspaces, form.format(plain))

    assert workspace.base_commit == newest
    assert "BatchMode=yes" in (tmp_path / "asked").read_text()


async def test_a_key_that_is_refused_says_who_must_get_access(over_ssh: FakeSsh) -> None:
    workspaces = over_ssh("echo 'git@host: Permission denied (publickey).' >&2; exit 255")

    with pytest.raises(UnreachableRepository) as raised:
        await workspaces.check("git@host.example:acme/api.git")

    assert "may not read `git@host.example:acme/api.git`" in raised.value.user_message


async def test_a_remote_that_hangs_is_given_up_with_all_its_processes(
    tmp_path: Path, over_ssh: FakeSsh
) -> None:
    workspaces = over_ssh(f"sleep 300 & echo $! > '{tmp_path}/pid'; wait")
    workspaces.git_timeout = timedelta(seconds=1)

    with pytest.raises(UnreachableRepository) as raised:
        await workspaces.check("git@host.example:acme/api.git")

    assert "took too long" in raised.value.user_message
    assert not _lives(int((tmp_path / "pid").read_text()))


async def test_being_cancelled_ends_git_and_its_processes(
    tmp_path: Path, over_ssh: FakeSsh
) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    workspaces = over_ssh(f"sleep 300 & echo $! > '{started}'; wait")

    asking = asyncio.create_task(workspaces.check("git@host.example:acme/api.git"))
    pid = int(await asyncio.to_thread(started.read_text))
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    """Whether a process lives on; waits a little for one that was just killed."""
    try:
        psutil.Process(pid).wait(timeout=5)
    except psutil.NoSuchProcess:
        return False
    except psutil.TimeoutExpired:
        return True
    return False


async def test_git_sees_nothing_of_the_worker_s_secrets(
    tmp_path: Path, over_ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret-of-the-worker")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    workspaces = over_ssh(f"env > '{tmp_path}/seen'; exit 1")

    with pytest.raises(WorkspaceError):
        await workspaces.check("git@host.example:acme/api.git")

    seen = (tmp_path / "seen").read_text()
    assert "SLACK_BOT_TOKEN" not in seen
    assert "GIT_DIR=/nonexistent" not in seen
