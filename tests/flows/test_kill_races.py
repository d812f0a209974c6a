"""Kills that meet something else: a clone, a shutdown, another kill."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from core.agent.process import process_table
from core.agent.process.ladder import find_tree
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot
from tests.processes import new_home, of_model, running
from tests.unit.trees import linux_only
from tests.workplace import Office, office

__all__ = ["office"]

pytestmark = linux_only


async def kill(office: Office, run: Run, *, force: bool = False) -> Termination:
    wish = KillRequest(named=run.run_id, force=force)
    return await office.workplace.runs.kill(wish, by=office.boss)


def check_proven(seen: RunSnapshot) -> None:
    assert seen.run.status is RunStatus.KILLED
    assert seen.run.attempt == 1
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert find_tree(seen.run.run_id, None) == ()


async def written(path: Path) -> str:
    """Wait for a line in a file, which nobody announces."""
    async with asyncio.timeout(60):
        while True:
            if await asyncio.to_thread(path.exists):
                line = await asyncio.to_thread(path.read_text)
                if line.endswith("\n"):
                    return line.strip()
            await asyncio.sleep(0.05)


async def test_a_kill_ends_a_clone_that_hangs(office: Office, tmp_path: Path) -> None:
    home, programs, pid_file = new_home(tmp_path / "other"), tmp_path / "bin", tmp_path / "pid"
    await asyncio.to_thread(_hanging_ssh, programs, pid_file)
    variables: dict[str, Any] = {
        "DATABASE_URL": office.workplace.database.dsn,
        "PATH": f"{programs}:{os.environ['PATH']}",
        **of_model(office.model),
    }
    async with running("worker", home, **variables):
        run = await office.start("work", repo="ssh://git@host.example/repo.git")
        pid = int(await written(pid_file))
        await kill(office, run)
        seen = await office.ended(run, within=15)
        async with asyncio.timeout(5):
            while process_table.resident(pid) is not None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        made = await asyncio.to_thread(lambda: list((home / "workspaces").iterdir()))

    check_proven(seen)
    assert made == []


def _hanging_ssh(programs: Path, pid_file: Path) -> None:
    programs.mkdir()
    (programs / "ssh").write_text(f"#!/bin/sh\necho $$ > '{pid_file}'\nexec sleep 60\n")
    (programs / "ssh").chmod(0o755)


@pytest.mark.parametrize("kill_first", [True, False])
async def test_a_kill_and_a_shutdown_at_once_end_in_a_kill(
    office: Office, tmp_path: Path, *, kill_first: bool
) -> None:
    home = new_home(tmp_path / "other")
    dsn = office.workplace.database.dsn
    variables: dict[str, Any] = {"DATABASE_URL": dsn, **of_model(office.model)}
    async with running("worker", home, **variables) as worker:
        run = await office.start("[scenario: kill-stubborn] work")
        await office.until(run, lambda seen: seen.run.tool_calls >= 2)
        if kill_first:
            await kill(office, run)
            worker.send(signal.SIGTERM)
        else:
            worker.send(signal.SIGTERM)
            await kill(office, run)
        await worker.ended()
        seen = await office.look(run)
        states = await asyncio.to_thread(lambda: list((home / "agents").iterdir()))

    check_proven(seen)
    assert states == []


async def test_many_kills_at_once_are_one(office: Office) -> None:
    async with office.worker():
        run = await office.start("[scenario: kill-me] work")
        await office.until(run, lambda seen: seen.run.tool_calls >= 1)
        asked = await asyncio.gather(*(kill(office, run, force=n == 3) for n in range(6)))
        seen = await office.ended(run, within=20)

    assert len({one.id for one in asked}) == 1
    check_proven(seen)
    assert seen.termination is not None
    assert seen.termination.force


async def test_a_kill_clears_away_what_the_agent_kept(office: Office) -> None:
    agents = office.settings.node.home / "agents"
    async with office.worker():
        run = await office.start("[scenario: kill-escaped] work")
        await office.until(run, lambda seen: seen.run.tool_calls >= 2)
        kept = await asyncio.to_thread(lambda: [path.name for path in agents.iterdir()])
        await kill(office, run)
        seen = await office.ended(run, within=20)
        left = await asyncio.to_thread(lambda: list(agents.iterdir()))

    check_proven(seen)
    assert kept == [f"{run.run_id}-1"]
    assert left == []
    assert seen.termination is not None
    assert seen.termination.cleanup["state_dirs"] == kept
