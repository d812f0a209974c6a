"""A worker whose disk is really full: its runs' errors, and its recovery when there is room."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from git import Repo

from bot.sandbox.model.script import Script, Turn, bash, play_in_order
from core.agent.process.process_tree import find_run_processes
from core.domain.failure_cause import FailureCause
from core.domain.failures.failed_attempt import last_failure_of
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryReason
from core.domain.runs.event import EventKind
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.run import Run, RunStatus, StopReason
from core.store import events
from tests.core_harness import CoreHarness, core_harness
from tests.processes import ANY_ROOM, Program, model_variables, new_home, running
from tests.repositories import new_repository

__all__ = ["core_harness"]

DISK_MB = 4
# Replaces itself by its arguments, with a small disk mounted at the directory.
MOUNT = f'mount -t tmpfs -o size={DISK_MB}m tmpfs "$0" && exec "$@"'
# Without root, most machines allow a mount in a user namespace.
WAY = (
    ("unshare", "--mount")
    if os.geteuid() == 0
    else ("unshare", "--user", "--map-root-user", "--mount")
)


def may_mount() -> bool:
    """Whether this machine allows a private mount."""
    command = (*WAY, "sh", "-c", MOUNT, tempfile.gettempdir(), "true")
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


pytestmark = [
    pytest.mark.skipif(not may_mount(), reason="needs the right to mount"),
    pytest.mark.sampled(1),
]


@asynccontextmanager
async def small_disk_worker(core_harness: CoreHarness, home: Path) -> AsyncIterator[Program]:
    """A worker whose workspaces are on a disk of a few megabytes."""
    workspaces = home / "workspaces"
    await asyncio.to_thread(workspaces.mkdir)
    variables = {
        "DATABASE_URL": core_harness.backend.database.dsn,
        **model_variables(core_harness.model),
    }
    within = (*WAY, "sh", "-c", MOUNT, str(workspaces))
    async with running("worker", home, within, **variables) as program:
        await program.wait_until_ready()
        yield program


def inside(program: Program, path: Path) -> Path:
    """A path as the worker process sees it."""
    return Path(f"/proc/{program.process.pid}/root") / path.relative_to("/")


async def run_turns(core_harness: CoreHarness, *turns: Turn, repo: Path | None = None) -> Run:
    """Run an agent with these turns until the run has ended."""
    core_harness.model.script = Script(name="cramped", description="", play=play_in_order(*turns))
    run = await core_harness.start("work", repo=str(repo) if repo else None)
    return (await core_harness.wait_until_ended(run)).run


def assert_refused(run: Run, home: Path) -> None:
    """Assert that it ended for lack of disk space with advice, and left no process."""
    assert (run.status, run.stop_reason) == (RunStatus.FAILED, StopReason.WORKSPACE_ERROR)
    assert run.error_message is not None
    assert "disk of the worker is full. Free some space" in run.error_message
    assert str(home) not in run.error_message
    failed = last_failure_of(run)
    assert failed is not None
    assert failed.failure_class is FailureClass.DISK_FULL
    assert failed.decision.reason is RetryReason.SWITCHED_OFF
    assert find_run_processes(run.run_id, None) == ()


async def test_runs_on_a_full_disk_end_until_there_is_room(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    home = await asyncio.to_thread(new_home, tmp_path / "cramped", ANY_ROOM)
    fill = bash("sleep 77 & head -c 64m /dev/zero > ballast", "Fill")
    async with small_disk_worker(core_harness, home) as worker:
        filler = await run_turns(core_harness, Turn(calls=(fill,)), Turn(text="There is no room."))
        refused = await run_turns(core_harness, Turn(text="Never."))
        ballast = inside(worker, home / "workspaces" / str(filler.workspace_id) / "ballast")
        await asyncio.to_thread(ballast.unlink)
        helped = await run_turns(core_harness, Turn(text="Done."))
        async with core_harness.backend.database.sessions() as session:
            carried = await events.of_run(session, filler.id, kinds=(EventKind.WORK_CARRIED,))
        assert await worker.readiness() == HTTPStatus.OK

    # The agent ended normally; that its work could not be saved is reported in addition.
    assert filler.status is RunStatus.COMPLETED, filler.error_message
    assert [one.data.get("failed") for one in carried] == [
        "its uncommitted files could not be saved"
    ]
    assert find_run_processes(filler.run_id, None) == ()
    assert_refused(refused, home)
    assert helped.status is RunStatus.COMPLETED, helped.error_message
    assert helped.worker_id == refused.worker_id
    assert "Traceback" not in worker.output


async def test_a_repository_larger_than_the_disk_is_refused_and_leaves_no_files(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    home = await asyncio.to_thread(new_home, tmp_path / "cramped", ANY_ROOM)
    repo = await asyncio.to_thread(large_repository, tmp_path / "large")
    async with small_disk_worker(core_harness, home) as worker:
        refused = await run_turns(core_harness, Turn(text="Never."), repo=repo)
        left = await asyncio.to_thread(names_in, inside(worker, home / "workspaces"))
        small = await asyncio.to_thread(new_repository, tmp_path / "small")
        helped = await run_turns(core_harness, Turn(text="Done."), repo=small)

    assert_refused(refused, home)
    assert left == []
    assert helped.status is RunStatus.COMPLETED, helped.error_message
    assert helped.worker_id == refused.worker_id
    assert "Traceback" not in worker.output


def large_repository(path: Path) -> Path:
    new_repository(path)
    # Random data does not get smaller in a pack.
    (path / "large.bin").write_bytes(os.urandom(2 * DISK_MB * 1024 * 1024))
    with Repo(path) as repo:
        repo.index.add(["large.bin"])
        repo.index.commit("Grow")
    return path


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_run_without_room_is_refused_before_it_begins(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    needs_more = "[workspaces]\nmin_free_gb = 1\n"
    home = await asyncio.to_thread(new_home, tmp_path / "cramped", needs_more)
    async with small_disk_worker(core_harness, home):
        refused = await run_turns(core_harness, Turn(text="Never."))

    assert (refused.status, refused.stop_reason) == (RunStatus.FAILED, StopReason.WORKSPACE_ERROR)
    analysis = FailureAnalysis.of_run(refused)
    assert analysis is not None
    assert analysis.cause is FailureCause.DISK_FULL
    assert "a run needs 1.0 GB" in (refused.error_message or "")
    assert refused.workspace_path is None
