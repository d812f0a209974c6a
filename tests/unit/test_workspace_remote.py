"""Remote repositories: invalid ones, hosts that refuse or hang, and the end of git."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from core.agent.process import process_table
from core.workspace.errors import UnreachableRepository
from core.workspace.workspaces import Workspaces
from tests.unit.repositories import allowing, commit, git, origin, prepare, workspaces

__all__ = ["origin", "workspaces"]


@pytest.mark.parametrize("kind", ["missing", "plain directory", "file", "inside"])
async def test_an_invalid_repository_is_reported(
    workspaces: Workspaces, origin: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "something"
    if kind == "plain directory":
        path.mkdir()
    if kind == "file":
        path.write_text("a file")
    if kind == "inside":
        path = origin / "subdirectory"
        path.mkdir()

    with pytest.raises(UnreachableRepository) as raised:
        await prepare(workspaces, path)

    assert "repository" in raised.value.user_message or "directory" in raised.value.user_message
    assert await workspaces.reopen("ws_1") is None


async def test_a_host_that_does_not_answer_is_named_without_the_credentials(
    workspaces: Workspaces,
) -> None:
    workspaces.policy = allowing(hosts=["127.0.0.1"])

    with pytest.raises(UnreachableRepository) as raised:
        await prepare(workspaces, "https://ada:s3cr3t-t0ken@127.0.0.1:9/acme/api.git")

    assert "https://127.0.0.1:9/acme/api.git" in raised.value.user_message
    assert "s3cr3t" not in f"{raised.value}{raised.value.user_message}{raised.value.__cause__!r}"


FakeSsh = Callable[..., Workspaces]


@pytest.fixture
def over_ssh(tmp_path: Path) -> FakeSsh:
    """Workspaces that use a script as `ssh`."""

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
            policy=allowing(hosts=["host.example"]),
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
    # The last argument is the command for the remote side.
    workspaces = over_ssh(
        f'echo "$@" >> "{tmp_path}/arguments"\nfor last in "$@"; do :; done\nexec sh -c "$last"'
    )

    workspace = await prepare(workspaces, form.format(plain))

    assert workspace.base_commit == newest
    assert "BatchMode=yes" in (tmp_path / "arguments").read_text()


async def test_a_refused_key_is_reported_with_the_repository(over_ssh: FakeSsh) -> None:
    workspaces = over_ssh("echo 'git@host: Permission denied (publickey).' >&2; exit 255")

    with pytest.raises(UnreachableRepository) as raised:
        await workspaces.check("git@host.example:acme/api.git")

    assert "may not read `git@host.example:acme/api.git`" in raised.value.user_message


async def test_a_hanging_remote_is_ended_with_all_its_processes(
    tmp_path: Path, over_ssh: FakeSsh
) -> None:
    workspaces = over_ssh(f"sleep 300 & echo $! > '{tmp_path}/pid'; wait", timeout=5)

    with pytest.raises(UnreachableRepository) as raised:
        await workspaces.check("git@host.example:acme/api.git")

    assert "took too long" in raised.value.user_message
    assert not _is_alive(int((tmp_path / "pid").read_text()))


async def test_cancellation_ends_git_and_its_processes(tmp_path: Path, over_ssh: FakeSsh) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    # Opened for reading and writing, so that a read without a writer does not block forever.
    held = os.open(started, os.O_RDWR)
    workspaces = over_ssh(f"sleep 300 & echo $! > '{started}'; wait")

    asking = asyncio.create_task(workspaces.check("git@host.example:acme/api.git"))
    try:
        await asyncio.to_thread(select.select, [held], [], [], 20)
        pid = int(os.read(held, 20))
    finally:
        os.close(held)
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    """Whether a process is alive; waits a moment for one that was just killed."""
    until = time.monotonic() + 5
    while process_table.find_process(pid) is not None and time.monotonic() < until:
        time.sleep(0.02)
    return process_table.find_process(pid) is not None
