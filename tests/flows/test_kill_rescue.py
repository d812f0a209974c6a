"""A kill whose worker died is finished by another one, whatever phase it was in."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bot.assembly.worker_runtime import installation_id_of
from core.agent.process import process_table
from core.agent.process.process_table import identify
from core.agent.process.process_tree import INSTALLATION_MARKER, RUN_MARKER, find_run_processes
from core.domain.fleet.attempt import AttemptRecord
from core.domain.kills.termination import PHASE_TRANSITIONS, Phase
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import Run, RunStatus, StopReason
from core.queue import jobs
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.recovery.clean_up import Cleaner
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.worker.identity import claimed_identity
from core.store import events, terminations
from core.store.fleet import attempts
from core.store.runs import runs
from tests.core_harness import CoreHarness, core_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.processes import model_variables, new_home, running
from tests.unit.process_trees import STUBBORN, linux_only

__all__ = ["core_harness"]

pytestmark = linux_only

ELSEWHERE = "elsewhere"
# Phases in which a worker can die; a phase is stored before it is acted on.
UNFINISHED = [phase for phase in Phase if PHASE_TRANSITIONS[phase]]


@asynccontextmanager
async def hostile_tree(core_harness: CoreHarness, run: Run) -> AsyncIterator[None]:
    """Processes with the run's marker, as a dead worker would leave them."""
    marks = {
        RUN_MARKER: run.run_id,
        INSTALLATION_MARKER: installation_id_of(core_harness.backend.database.dsn),
    }
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", STUBBORN,
        env={"PATH": os.environ["PATH"], **marks},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield
    finally:
        for one in find_run_processes(run.run_id, identify(process.pid)):
            process_table.send_signal(one, signal.SIGKILL)
        await process.wait()


async def start_on_lost_worker(core_harness: CoreHarness, worker_id: str, host: str) -> Run:
    """A run that a dead worker was executing, with the files in its home."""
    work = core_harness.backend.context
    run = await core_harness.start("work")
    home = core_harness.settings.node.home
    workspace = home / "workspaces" / str(run.workspace_id)
    await asyncio.to_thread(_leave_files, home, workspace, f"{run.run_id}-1")
    now = work.clock() - timedelta(minutes=5)
    async with work.transaction() as session:
        if run.job_id is not None:
            await jobs.finish_abandoned(session, run.job_id)
        run = await runs.begin(session, run.run_id, attempt=1, worker_id=worker_id, now=now)
        process = AttemptRecord(
            id=uuid4(),
            run_id=run.id,
            attempt=1,
            worker_id=worker_id,
            host=host,
            started_at=now,
            heartbeat_at=now,
        )
        await attempts.add(session, process)
        return await runs.change(session, run.run_id, now=now, workspace_path=str(workspace))


def _leave_files(home: Path, workspace: Path, state: str) -> None:
    subprocess.run(["git", "init", "-q", str(workspace)], check=True, timeout=10)
    (workspace / ".git" / "index.lock").touch()
    (workspace / "unsaved.txt").write_text("precious\n")
    (home / "agents" / state / "home").mkdir(parents=True)


async def record_kill(core_harness: CoreHarness, run: Run, phase: Phase) -> None:
    """Store a kill that has reached this phase."""
    termination = await core_harness.backend.runs.kill(
        KillRequest(target=run.run_id), by=core_harness.operator
    )
    if phase is not Phase.REQUESTED:
        async with core_harness.backend.context.transaction() as session:
            now = core_harness.backend.context.clock()
            await terminations.advance(session, termination.id, phase, now=now)


def own_identity(core_harness: CoreHarness) -> tuple[str, str]:
    """The name of an earlier worker in this home's first slot, and its machine."""
    with claimed_identity(core_harness.settings.node.home) as identity:
        return f"{identity.node}:dead0000", identity.host


def kills_of(core_harness: CoreHarness, host: str, home: Path) -> InterruptedKills:
    """The service that finishes interrupted kills, as a worker on that machine has it."""
    ledger = Ledger(core_harness.backend.context, f"{host}-000000-0:alive000", host)
    return InterruptedKills(ledger, Cleaner(home), remote_grace=timedelta(0))


async def events_of_kind(core_harness: CoreHarness, run: Run, kind: EventKind) -> list[EventRecord]:
    async with core_harness.backend.database.sessions() as session:
        return list(await events.of_run(session, run.id, kinds=[kind]))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("phase", UNFINISHED)
async def test_the_next_worker_finishes_a_kill_interrupted_in_any_phase(
    core_harness: CoreHarness, phase: Phase
) -> None:
    run = await start_on_lost_worker(core_harness, *own_identity(core_harness))
    async with hostile_tree(core_harness, run):
        await record_kill(core_harness, run, phase)

        async with core_harness.worker():
            seen = await core_harness.wait_until_ended(run)
        left = await asyncio.to_thread(find_run_processes, run.run_id, None)

    assert left == ()
    assert seen.run.status is RunStatus.KILLED
    termination = seen.termination
    assert termination is not None
    assert termination.phase is Phase.CONFIRMED
    assert termination.survivors == ()
    assert termination.processes_seen >= 2
    assert termination.cleanup["state_dirs"] == [f"{run.run_id}-1"]
    assert termination.cleanup["git_locks"] == ["index.lock"]
    assert termination.work_saved["uncommitted_files"] == 1
    assert len(await events_of_kind(core_harness, run, EventKind.RUN_ENDED)) == 1
    assert await events_of_kind(core_harness, run, EventKind.KILL_UNCONFIRMED) == []


async def test_a_run_ends_whose_worker_died_between_the_proof_and_the_end(
    core_harness: CoreHarness,
) -> None:
    run = await start_on_lost_worker(core_harness, *own_identity(core_harness))
    await record_kill(core_harness, run, Phase.CONFIRMED)

    async with core_harness.worker():
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.KILLED


async def test_the_session_is_free_after_a_kill_finished_later(
    core_harness: CoreHarness,
) -> None:
    run = await start_on_lost_worker(core_harness, *own_identity(core_harness))
    await record_kill(core_harness, run, Phase.KILLED)

    async with core_harness.worker():
        await core_harness.wait_until_ended(run)
        continued = await core_harness.backend.runs.continue_run(
            ContinueRequest(target=run.run_id, request_key="c", message="Go on"),
            by=core_harness.operator,
        )
        seen = await core_harness.wait_until_ended(continued.run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message


async def test_a_kill_on_another_machine_is_unconfirmed_until_a_worker_checks_there(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    run = await start_on_lost_worker(core_harness, f"{ELSEWHERE}-000000-0:dead0000", ELSEWHERE)
    await record_kill(core_harness, run, Phase.INTERRUPTED)
    here, there = (
        kills_of(core_harness, "here", tmp_path / "h"),
        kills_of(core_harness, ELSEWHERE, tmp_path),
    )

    for _ in range(3):
        await here.finish_kill((await core_harness.read_run(run)).run)
    unconfirmed = await core_harness.read_run(run)
    warnings = await events_of_kind(core_harness, run, EventKind.KILL_UNCONFIRMED)
    after = await there.finish_kill(unconfirmed.run)

    assert unconfirmed.run.status is RunStatus.RUNNING
    assert unconfirmed.termination is not None
    assert unconfirmed.termination.phase is Phase.UNCONFIRMED
    assert len(warnings) == 1
    assert after.status is RunStatus.KILLED
    confirmed = (await core_harness.read_run(run)).termination
    assert confirmed is not None
    assert confirmed.phase is Phase.CONFIRMED


async def test_the_other_machine_has_time_to_confirm_before_a_kill_is_unconfirmed(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    run = await start_on_lost_worker(core_harness, f"{ELSEWHERE}-000000-0:dead0000", ELSEWHERE)
    await record_kill(core_harness, run, Phase.REQUESTED)
    here = kills_of(core_harness, "here", tmp_path)
    here.remote_grace = timedelta(minutes=1)

    await here.finish_kill((await core_harness.read_run(run)).run)

    seen = await core_harness.read_run(run)
    assert seen.termination is not None
    assert seen.termination.phase is Phase.REQUESTED
    assert await events_of_kind(core_harness, run, EventKind.KILL_UNCONFIRMED) == []


async def test_a_kill_on_a_lost_machine_frees_the_session_and_says_so(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    run = await start_on_lost_worker(core_harness, f"{ELSEWHERE}-000000-0:dead0000", ELSEWHERE)
    await record_kill(core_harness, run, Phase.INTERRUPTED)
    here, there = (
        kills_of(core_harness, "here", tmp_path / "h"),
        kills_of(core_harness, ELSEWHERE, tmp_path),
    )
    here.patience = timedelta(0)

    await here.finish_kill((await core_harness.read_run(run)).run)
    given_up = await core_harness.read_run(run)
    await here.finish_interrupted_kills()
    still = await core_harness.read_run(run)
    await there.finish_interrupted_kills()
    proven = await core_harness.read_run(run)

    assert given_up.run.stop_reason is StopReason.WORKER_LOST
    assert ELSEWHERE in str(given_up.run.error_message)
    assert given_up.run.can_continue
    assert still.termination is not None
    assert still.termination.phase is Phase.UNCONFIRMED
    assert proven.termination is not None
    assert proven.termination.phase is Phase.CONFIRMED
    assert proven.run.stop_reason is StopReason.WORKER_LOST
    assert len(await events_of_kind(core_harness, run, EventKind.RUN_ENDED)) == 1


async def test_a_requeued_run_of_a_lost_machine_is_killed_only_with_proof(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    run = await start_on_lost_worker(core_harness, f"{ELSEWHERE}-000000-0:dead0000", ELSEWHERE)
    here, there = (
        kills_of(core_harness, "here", tmp_path / "h"),
        kills_of(core_harness, ELSEWHERE, tmp_path),
    )
    await here.ledger.requeue(run, reason="its worker was lost")

    termination = await core_harness.backend.runs.kill(
        KillRequest(target=run.run_id), by=core_harness.operator
    )
    await here.finish_interrupted_kills()
    waiting = await core_harness.read_run(run)
    await there.finish_interrupted_kills()
    seen = await core_harness.read_run(run)

    assert termination.phase is Phase.REQUESTED
    assert waiting.run.status is RunStatus.PENDING
    assert waiting.termination is not None
    assert waiting.termination.phase is Phase.UNCONFIRMED
    assert seen.run.status is RunStatus.KILLED


async def test_a_run_that_was_handed_over_with_proof_is_killed_at_once(
    core_harness: CoreHarness,
) -> None:
    LastingWork(core_harness.model)
    async with core_harness.worker():
        run = await core_harness.start(LASTING, max_turns=MANY_TURNS)
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)
    waiting = (await core_harness.read_run(run)).run

    termination = await core_harness.backend.runs.kill(
        KillRequest(target=run.run_id), by=core_harness.operator
    )

    assert waiting.status is RunStatus.PENDING
    assert waiting.attempt == 2
    assert termination.phase is Phase.CONFIRMED
    assert (await core_harness.read_run(run)).run.status is RunStatus.KILLED


async def test_leftover_processes_of_a_run_that_moved_are_ended_and_reported(
    core_harness: CoreHarness,
) -> None:
    run = await start_on_lost_worker(core_harness, f"{ELSEWHERE}-000000-0:alive000", ELSEWHERE)
    async with hostile_tree(core_harness, run):
        async with core_harness.worker():
            pass
        left = await asyncio.to_thread(find_run_processes, run.run_id, None)

    (report,) = await events_of_kind(core_harness, run, EventKind.LEFTOVERS_ENDED)
    assert left == ()
    assert report.data["survivors"] == 0
    assert "bash" in report.data["ended"]


async def test_directories_of_ended_attempts_are_removed_at_the_start(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    run = await start_on_lost_worker(core_harness, f"{ELSEWHERE}-000000-0:alive000", ELSEWHERE)
    agents = core_harness.settings.node.home / "agents"
    over, resumed = agents / "run_000000000000-1", tmp_path / "claude-resume-x"

    def leave_files() -> None:
        resumed.mkdir()
        (over / "home").mkdir(parents=True)
        (over / "resumed").symlink_to(resumed)

    await asyncio.to_thread(leave_files)
    async with core_harness.worker():
        left = await asyncio.to_thread(lambda: sorted(path.name for path in agents.iterdir()))

    assert left == [f"{run.run_id}-1"]
    assert not await asyncio.to_thread(resumed.exists)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("scenario", "phase"),
    [
        ("slow-commit] [pause: 20000", Phase.DRAINING),
        ("kill-hostile", Phase.INTERRUPTED),
        ("kill-hostile", Phase.TERMINATED),
    ],
)
async def test_a_worker_killed_during_a_kill_leaves_it_to_its_successor(
    core_harness: CoreHarness, tmp_path: Path, scenario: str, phase: Phase
) -> None:
    home = new_home(tmp_path / "other")
    dsn = core_harness.backend.database.dsn
    variables: dict[str, Any] = {"DATABASE_URL": dsn, **model_variables(core_harness.model)}
    async with running("worker", home, **variables) as worker:
        run = await core_harness.start(f"[scenario: {scenario}] work")
        await core_harness.wait_until(run, lambda now: now.run.tool_calls >= 2)
        await core_harness.backend.runs.kill(
            KillRequest(target=run.run_id), by=core_harness.operator
        )
        await core_harness.wait_until(
            run, lambda now: now.termination is not None and phase in now.termination.phases
        )
        worker.send(signal.SIGKILL)
        await worker.wait_until_ended()
    async with running("worker", home, **variables):
        seen = await core_harness.wait_until_ended(run)
        left = await asyncio.to_thread(find_run_processes, run.run_id, None)

    assert left == ()
    assert seen.run.status is RunStatus.KILLED
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert seen.termination.survivors == ()
