"""Sessions that continue on another machine: another home, no shared disk, the same database."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.assembly.backend import open_backend
from bot.assembly.settings import load_settings
from bot.assembly.worker_runtime import new_worker_runtime
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import Run, RunStatus
from core.runner.recovery.rescue import Rescue
from core.runner.worker.identity import claimed_identity
from core.store import events
from core.store.fleet import attempts
from core.store.runs import run_queries
from core.store.sessions import carried_work
from core.store.sessions.checkpoints import checkpoints
from tests.core_harness import CoreHarness, core_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit
from tests.processes import Program, new_home, running
from tests.repositories import new_repository

__all__ = ["core_harness"]

pytestmark = pytest.mark.sampled(2)


def git(path: Path | str | None, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@asynccontextmanager
async def elsewhere(core_harness: CoreHarness, home: Path) -> AsyncIterator[CoreHarness]:
    """The same installation on another machine: another home, no shared disk."""
    if not await asyncio.to_thread(home.exists):
        await asyncio.to_thread(new_home, home)
    settings = load_settings(
        DATABASE_URL=core_harness.backend.database.dsn,
        SIGNALBOX_HOME=home,
        ANTHROPIC_API_KEY=core_harness.model.api_key,
        ANTHROPIC_BASE_URL=core_harness.model.url,
    )
    async with open_backend(settings, migrates=False) as backend:
        yield replace(core_harness, settings=settings, backend=backend)


async def start_and_wait_for_agent(
    core_harness: CoreHarness, task: str, *, repo: str | None = None
) -> Run:
    """Start a run and wait until its agent works; returns the run with its workspace."""
    run = await core_harness.start(task, repo=repo)
    seen = await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 2)
    return seen.run


def commit_in(run: Run, name: str) -> str:
    """Commit a file as the agent would."""
    assert run.workspace_path is not None
    (Path(run.workspace_path) / name).write_text(f"{name}\n")
    git(run.workspace_path, "add", name)
    git(run.workspace_path, "commit", "-qm", f"Add {name}")
    return git(run.workspace_path, "rev-parse", "HEAD")


async def events_of_kind(core_harness: CoreHarness, run: Run, kind: EventKind) -> list[EventRecord]:
    async with core_harness.backend.database.sessions.begin() as session:
        return await events.of_run(session, run.id, kinds=(kind,))


async def carried_head(core_harness: CoreHarness, run: Run) -> str | None:
    async with core_harness.backend.database.sessions.begin() as session:
        found = await carried_work.latest_head(session, run.session_id)
    return None if found is None else found[0]


async def checkpoints_with_files(core_harness: CoreHarness, run: Run) -> list[Checkpoint]:
    """The checkpoints at which the run had changed something."""
    async with core_harness.backend.database.sessions.begin() as session:
        found = await checkpoints.of_run(session, run.id)
    return [one for one in found if one.diff is not None and one.diff.files]


async def until_carried(core_harness: CoreHarness, run: Run, head: str) -> None:
    async with limit(30):
        while await carried_head(core_harness, run) != head:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("has_repository", [True, False])
async def test_a_run_handed_over_continues_elsewhere_with_its_uncommitted_work(
    core_harness: CoreHarness, tmp_path: Path, has_repository: bool
) -> None:
    repository = await asyncio.to_thread(new_repository, tmp_path / "api")
    repo = str(repository) if has_repository else None
    async with core_harness.worker():
        run = await start_and_wait_for_agent(core_harness, "[scenario: kill-me] work", repo=repo)
        head = await asyncio.to_thread(commit_in, run, "done.txt")
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        seen = await other.wait_until_ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.attempt == 2
    assert str(tmp_path / "other") in (seen.run.workspace_path or "")
    assert seen.run.final_commit_hash == head
    assert seen.run.git_branch == run.git_branch
    assert seen.run.initial_commit_hash == run.initial_commit_hash
    assert seen.run.diff is not None
    assert {file.path: file.committed for file in seen.run.diff.files} == {
        "done.txt": True,
        "before-the-stop.txt": False,
    }
    (event,) = await events_of_kind(core_harness, run, EventKind.WORK_RESTORED)
    assert event.data["commit"] == head
    assert event.data["uncommitted"] is True
    assert event.data["incomplete"] is False
    assert event.data["from_node"]


async def test_a_workspace_deleted_from_its_own_disk_is_restored(
    core_harness: CoreHarness,
) -> None:
    async with core_harness.worker():
        run = await start_and_wait_for_agent(core_harness, "[scenario: kill-me] work")
        head = await asyncio.to_thread(commit_in, run, "done.txt")
    await asyncio.to_thread(shutil.rmtree, run.workspace_path or "")
    async with core_harness.worker():
        ended = (await core_harness.wait_until_ended(run)).run

    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert ended.workspace_path == run.workspace_path
    assert ended.final_commit_hash == head
    assert ended.diff is not None
    assert {file.path for file in ended.diff.files} == {"done.txt", "before-the-stop.txt"}
    (event,) = await events_of_kind(core_harness, run, EventKind.WORK_RESTORED)
    assert event.data["gone"] is True
    assert event.data["incomplete"] is False


async def test_a_killed_run_is_continued_elsewhere_with_its_work(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    async with core_harness.worker():
        run = await start_and_wait_for_agent(core_harness, "[scenario: kill-me] work")
        await core_harness.backend.runs.kill(
            KillRequest(target=run.run_id), by=core_harness.operator
        )
        await core_harness.wait_until_ended(run)
    continued = await core_harness.backend.runs.continue_run(
        ContinueRequest(target=run.run_id, request_key="c", message="[scenario: work] Go on"),
        by=core_harness.operator,
    )
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        seen = await other.wait_until_ended(continued.run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.diff is not None
    assert "before-the-stop.txt" in {file.path for file in seen.run.diff.files}
    (event,) = await events_of_kind(core_harness, continued.run, EventKind.WORK_RESTORED)
    assert event.data["uncommitted"] is True


@pytest.mark.parametrize("has_own_commit", [False, True])
async def test_a_returning_session_uses_its_older_copy_or_a_new_one_beside_it(
    core_harness: CoreHarness, tmp_path: Path, has_own_commit: bool
) -> None:
    repository = await asyncio.to_thread(new_repository, tmp_path / "api")
    async with core_harness.worker():
        first = (
            await core_harness.wait_until_ended(
                await core_harness.start("One thing", repo=str(repository))
            )
        ).run
    second = await core_harness.backend.runs.continue_run(
        ContinueRequest(target=first.run_id, request_key="2", message="[scenario: work] Another"),
        by=core_harness.operator,
    )
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        middle = (await other.wait_until_ended(second.run)).run
    third = await core_harness.backend.runs.continue_run(
        ContinueRequest(
            target=second.run.run_id, request_key="3", message="[scenario: work] Third"
        ),
        by=core_harness.operator,
    )
    if has_own_commit:
        await asyncio.to_thread(commit_in, first, "own.txt")
    async with core_harness.worker():
        last = (await core_harness.wait_until_ended(third.run)).run

    assert last.status is RunStatus.COMPLETED, last.error_message
    assert first.workspace_path is not None
    assert middle.workspace_path != first.workspace_path
    assert last.workspace_path == first.workspace_path + ("-2" if has_own_commit else "")
    assert middle.initial_commit_hash == first.final_commit_hash
    assert last.initial_commit_hash == middle.final_commit_hash
    assert last.final_commit_hash != middle.final_commit_hash


async def test_a_run_of_a_dead_worker_continues_elsewhere_from_its_last_commit(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    lasting = LastingWork(core_harness.model)
    run = await core_harness.start(LASTING, max_turns=MANY_TURNS)
    async with dying_worker(core_harness, tmp_path / "doomed") as worker:
        seen = await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)
        head = await asyncio.to_thread(commit_in, seen.run, "done.txt")
        await until_carried(core_harness, run, head)
        path = Path(seen.run.workspace_path or "")
        await asyncio.to_thread((path / "later.txt").write_text, "too late\n")
        worker.send(signal.SIGKILL)
        await worker.wait_until_ended()
    lasting.finish()
    await reassign(core_harness, run)
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        ended = (await other.wait_until_ended(run)).run

    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert ended.attempt == 2
    assert ended.final_commit_hash == head
    assert ended.diff is not None
    assert [file.path for file in ended.diff.files] == ["done.txt"]
    (event,) = await events_of_kind(core_harness, run, EventKind.WORK_RESTORED)
    assert event.data["commit"] == head
    assert event.data["incomplete"] is True
    assert event.data["workspace"] == path.name


async def test_a_run_of_a_dead_worker_continues_elsewhere_from_a_newer_checkpoint(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    # Each answer takes so long that the files are at rest for a while after each call.
    run = await core_harness.start("[delay: 1200ms] Add rate limiting")
    async with dying_worker(core_harness, tmp_path / "doomed") as worker:
        async with limit(60):
            while not (found := await checkpoints_with_files(core_harness, run)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        worker.send(signal.SIGKILL)
        await worker.wait_until_ended()
    assert await carried_head(core_harness, run) is None
    await reassign(core_harness, run)
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        ended = (await other.wait_until_ended(run)).run

    assert ended.status is RunStatus.COMPLETED, ended.error_message
    (event,) = await events_of_kind(core_harness, run, EventKind.WORK_RESTORED)
    assert event.data["checkpoint"] >= found[-1].number
    assert event.data["incomplete"] is True
    # The agent does not write them again.
    assert ended.diff is not None
    assert {file.path for file in ended.diff.files} >= {"rate_limiting.py"}


async def test_a_run_whose_worker_died_before_a_commit_reports_the_lost_work(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    run = await core_harness.start("[scenario: kill-me] work")
    async with dying_worker(core_harness, tmp_path / "doomed") as worker:
        seen = await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 2)
        worker.send(signal.SIGKILL)
        await worker.wait_until_ended()
    await reassign(core_harness, run)
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        ended = await other.wait_until_ended(run)

    assert ended.run.status is RunStatus.COMPLETED, ended.run.error_message
    (event,) = await events_of_kind(core_harness, run, EventKind.WORK_RESTORED)
    assert event.data["commit"] is None
    assert event.data["incomplete"] is True
    full = await core_harness.read_run(run)
    assert any(notice.kind is EventKind.WORK_RESTORED for notice in full.notices)
    assert seen.run.workspace_id == event.data["workspace"]


async def test_work_over_the_limit_is_not_carried_and_the_thread_says_so(
    core_harness: CoreHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Packing as much as the real limit can take longer than a shutdown leaves for it.
    monkeypatch.setattr(carried_work, "MAX_BYTES", 1_000_000)
    async with core_harness.worker():
        run = await start_and_wait_for_agent(core_harness, "[scenario: kill-me] work")
        head = await asyncio.to_thread(commit_in, run, "done.txt")
        large = Path(run.workspace_path or "") / "large.bin"
        await asyncio.to_thread(large.write_bytes, os.urandom(carried_work.MAX_BYTES + 1_000))
    (event,) = [
        one
        for one in await events_of_kind(core_harness, run, EventKind.WORK_CARRIED)
        if "too_large" in one.data
    ]
    async with elsewhere(core_harness, tmp_path / "other") as other, other.worker():
        ended = (await other.wait_until_ended(run)).run

    assert event.data["commits"] is False
    assert ended.final_commit_hash == head
    (restored,) = await events_of_kind(core_harness, run, EventKind.WORK_RESTORED)
    assert restored.data["incomplete"] is True
    assert restored.data["uncommitted"] is False


@asynccontextmanager
async def dying_worker(core_harness: CoreHarness, home: Path) -> AsyncIterator[Program]:
    """A worker in its own process, which the test kills."""
    await asyncio.to_thread(new_home, home)
    async with running(
        "worker",
        home,
        DATABASE_URL=core_harness.backend.database.dsn,
        ANTHROPIC_API_KEY=core_harness.model.api_key,
        ANTHROPIC_BASE_URL=core_harness.model.url,
    ) as worker:
        await worker.wait_until_ready()
        yield worker


async def reassign(core_harness: CoreHarness, run: Run) -> None:
    """Rescue the run as another worker does after the heartbeat was silent for long enough."""
    with claimed_identity(core_harness.settings.node.home) as identity:
        runtime = await new_worker_runtime(core_harness.backend, identity)
        async with core_harness.backend.database.sessions.begin() as session:
            present = await run_queries.get(session, run.run_id)
            (process,) = await attempts.of_run(session, run.id)
        await Rescue(runtime.ledger, runtime.kills).reassign(present, process)


async def test_a_run_whose_repository_was_deleted_goes_on_beside_it(
    core_harness: CoreHarness,
) -> None:
    # Commits are looked for after tool calls.
    lasting = LastingWork(core_harness.model)
    async with core_harness.worker():
        run = await start_and_wait_for_agent(core_harness, LASTING)
        head = await asyncio.to_thread(commit_in, run, "done.txt")
        await until_carried(core_harness, run, head)
        await asyncio.to_thread(shutil.rmtree, Path(run.workspace_path or "") / ".git")
        await core_harness.backend.runs.kill(
            KillRequest(target=run.run_id), by=core_harness.operator
        )
        killed = (await core_harness.wait_until_ended(run)).run
        lasting.finish()
        started = await core_harness.backend.runs.continue_run(
            ContinueRequest(target=run.run_id, request_key="d", message="Go on"),
            by=core_harness.operator,
        )
        ended = (await core_harness.wait_until_ended(started.run)).run

    assert (killed.status, killed.diff) == (RunStatus.KILLED, None)
    assert "no longer a git repository" in (killed.changes_unknown or "")
    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert ended.workspace_id == f"{run.workspace_id}-2"
    assert ended.final_commit_hash == head
    (event,) = await events_of_kind(core_harness, started.run, EventKind.WORK_RESTORED)
    assert event.data["damaged"] is True
    assert (event.data["workspace"], event.data["rebuilt"]) == (
        run.workspace_id,
        ended.workspace_id,
    )
