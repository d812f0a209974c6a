"""Kills that race with something else: a clone, a shutdown, another kill."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from core.agent.process import process_table
from core.agent.process.process_tree import find_run_processes
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot
from tests.core_harness import CoreHarness, core_harness
from tests.limits import limit
from tests.processes import model_variables, new_home, running
from tests.unit.process_trees import linux_only

__all__ = ["core_harness"]

pytestmark = linux_only


async def kill(core_harness: CoreHarness, run: Run, *, force: bool = False) -> Termination:
    request = KillRequest(target=run.run_id, force=force)
    return await core_harness.backend.runs.kill(request, by=core_harness.operator)


def check_proven(seen: RunSnapshot) -> None:
    assert seen.run.status is RunStatus.KILLED
    assert seen.run.attempt == 1
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert find_run_processes(seen.run.run_id, None) == ()


async def wait_for_line(path: Path) -> str:
    """Wait for a line in a file, which is polled."""
    async with limit(60):
        while True:
            if await asyncio.to_thread(path.exists):
                line = await asyncio.to_thread(path.read_text)
                if line.endswith("\n"):
                    return line.strip()
            await asyncio.sleep(0.05)


async def test_a_kill_ends_a_clone_that_hangs(core_harness: CoreHarness, tmp_path: Path) -> None:
    home, programs, pid_file = new_home(tmp_path / "other"), tmp_path / "bin", tmp_path / "pid"
    await asyncio.to_thread(_hanging_ssh, programs, pid_file)
    variables: dict[str, Any] = {
        "DATABASE_URL": core_harness.backend.database.dsn,
        "PATH": f"{programs}:{os.environ['PATH']}",
        **model_variables(core_harness.model),
    }
    async with running("worker", home, **variables):
        run = await core_harness.start("work", repo="ssh://git@host.example/repo.git")
        pid = int(await wait_for_line(pid_file))
        await kill(core_harness, run)
        seen = await core_harness.wait_until_ended(run, within=15)
        async with limit(5):
            while process_table.find_process(pid) is not None:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.05)
        made = await asyncio.to_thread(lambda: list((home / "workspaces").iterdir()))

    check_proven(seen)
    assert made == []


def _hanging_ssh(programs: Path, pid_file: Path) -> None:
    programs.mkdir()
    (programs / "ssh").write_text(f"#!/bin/sh\necho $$ > '{pid_file}'\nexec sleep 60\n")
    (programs / "ssh").chmod(0o755)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kill_first", [True, False])
async def test_a_concurrent_kill_and_shutdown_end_in_a_kill(
    core_harness: CoreHarness, tmp_path: Path, *, kill_first: bool
) -> None:
    home = new_home(tmp_path / "other")
    dsn = core_harness.backend.database.dsn
    variables: dict[str, Any] = {"DATABASE_URL": dsn, **model_variables(core_harness.model)}
    async with running("worker", home, **variables) as worker:
        run = await core_harness.start("[scenario: kill-stubborn] work")
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 2)
        if kill_first:
            await kill(core_harness, run)
            worker.send(signal.SIGTERM)
        else:
            worker.send(signal.SIGTERM)
            await kill(core_harness, run)
        await worker.wait_until_ended()
        seen = await core_harness.read_run(run)
        states = await asyncio.to_thread(lambda: list((home / "agents").iterdir()))

    check_proven(seen)
    assert states == []


async def test_concurrent_kills_are_one_termination(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start("[scenario: kill-me] work")
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)
        kills = await asyncio.gather(*(kill(core_harness, run, force=n == 3) for n in range(6)))
        seen = await core_harness.wait_until_ended(run, within=20)

    assert len({one.id for one in kills}) == 1
    check_proven(seen)
    assert seen.termination is not None
    assert seen.termination.force


async def test_a_kill_removes_the_agents_state_directory(core_harness: CoreHarness) -> None:
    agents = core_harness.settings.node.home / "agents"
    async with core_harness.worker():
        run = await core_harness.start("[scenario: kill-escaped] work")
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 2)
        state_dirs = await asyncio.to_thread(lambda: [path.name for path in agents.iterdir()])
        await kill(core_harness, run)
        seen = await core_harness.wait_until_ended(run, within=20)
        left = await asyncio.to_thread(lambda: list(agents.iterdir()))

    check_proven(seen)
    assert state_dirs == [f"{run.run_id}-1"]
    assert left == []
    assert seen.termination is not None
    assert seen.termination.cleanup["state_dirs"] == state_dirs
