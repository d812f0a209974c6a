"""A kill whose worker died in it is finished by whoever finds it, whatever phase it was in."""

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

from bot.assembly.node import GIT_TIMEOUT, site_of
from core.agent.process import process_table
from core.agent.process.ladder import COOKIE, SITE, find_tree, identify
from core.domain.fleet.attempt import RunProcess
from core.domain.kills.termination import PHASES, Phase
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import Run, RunStatus, StopReason
from core.queue import jobs
from core.runner.execution.ledger import Ledger
from core.runner.recovery.clean_up import Clearing
from core.runner.recovery.interrupted_kills import Kills
from core.runner.worker.identity import claimed_identity
from core.store import events, terminations
from core.store.fleet import attempts
from core.store.runs import runs
from core.workspace.workspaces import Workspaces
from tests.processes import new_home, of_model, running
from tests.unit.trees import STUBBORN, linux_only
from tests.workplace import Office, office

__all__ = ["office"]

pytestmark = linux_only

ELSEWHERE = "elsewhere"
# Those in which a worker can die; a phase is written before it is acted on.
UNFINISHED = [phase for phase in Phase if PHASES[phase]]


@asynccontextmanager
async def hostile_tree(office: Office, run: Run) -> AsyncIterator[None]:
    """Processes that bear the run's mark, as a dead worker would leave them."""
    marks = {COOKIE: run.run_id, SITE: site_of(office.workplace.database.dsn)}
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
        for one in find_tree(run.run_id, identify(process.pid)):
            process_table.send_signal(one, signal.SIGKILL)
        await process.wait()


async def begun(office: Office, worker_id: str, host: str) -> Run:
    """A run in the hands of a worker that is no more, with what it left in its home."""
    work = office.workplace.work
    run = await office.start("work")
    home = office.settings.node.home
    workspace = home / "workspaces" / str(run.workspace_id)
    await asyncio.to_thread(_leave, home, workspace, f"{run.run_id}-1")
    now = work.clock() - timedelta(minutes=5)
    async with work.transaction() as session:
        if run.job_id is not None:
            await jobs.settle(session, run.job_id)
        run = await runs.begin(session, run.run_id, attempt=1, worker_id=worker_id, now=now)
        process = RunProcess(
            id=uuid4(),
            run_id=run.id,
            attempt=1,
            worker_id=worker_id,
            host=host,
            started_at=now,
            heartbeat_at=now,
        )
        await attempts.start(session, process)
        return await runs.change(session, run.run_id, now=now, workspace_path=str(workspace))


def _leave(home: Path, workspace: Path, state: str) -> None:
    subprocess.run(["git", "init", "-q", str(workspace)], check=True, timeout=10)
    (workspace / ".git" / "index.lock").touch()
    (workspace / "unsaved.txt").write_text("precious\n")
    (home / "agents" / state / "home").mkdir(parents=True)


async def wished(office: Office, run: Run, phase: Phase) -> None:
    """A kill that has come to this phase."""
    termination = await office.workplace.runs.kill(KillRequest(named=run.run_id), by=office.boss)
    if phase is not Phase.REQUESTED:
        async with office.workplace.work.transaction() as session:
            now = office.workplace.work.clock()
            await terminations.advance(session, termination.id, phase, now=now)


def own_identity(office: Office) -> tuple[str, str]:
    """The name of an earlier worker of this home's first place, and its machine."""
    with claimed_identity(office.settings.node.home) as identity:
        return f"{identity.node}:dead0000", identity.host


def kills_of(office: Office, host: str, home: Path) -> Kills:
    """What a worker on that machine would do."""
    ledger = Ledger(office.workplace.work, f"{host}-000000-0:alive000", host)
    workspaces = Workspaces(home, git_timeout=GIT_TIMEOUT)
    return Kills(ledger, workspaces, Clearing(home), hearing=timedelta(0))


async def told(office: Office, run: Run, kind: EventKind) -> list[EventRecord]:
    async with office.workplace.database.sessions() as session:
        return list(await events.of_run(session, run.id, kinds=[kind]))


@pytest.mark.parametrize("phase", UNFINISHED)
async def test_the_next_worker_finishes_a_kill_that_died_in(office: Office, phase: Phase) -> None:
    run = await begun(office, *own_identity(office))
    async with hostile_tree(office, run):
        await wished(office, run, phase)

        async with office.worker():
            seen = await office.ended(run)
        left = await asyncio.to_thread(find_tree, run.run_id, None)

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
    assert len(await told(office, run, EventKind.RUN_ENDED)) == 1
    assert await told(office, run, EventKind.KILL_UNCONFIRMED) == []


async def test_a_worker_that_died_between_proof_and_end_leaves_no_run_behind(
    office: Office,
) -> None:
    run = await begun(office, *own_identity(office))
    await wished(office, run, Phase.CONFIRMED)

    async with office.worker():
        seen = await office.ended(run)

    assert seen.run.status is RunStatus.KILLED


async def test_the_session_is_free_after_a_kill_that_was_finished_later(office: Office) -> None:
    run = await begun(office, *own_identity(office))
    await wished(office, run, Phase.KILLED)

    async with office.worker():
        await office.ended(run)
        leg = await office.workplace.runs.continue_run(
            ContinueRequest(named=run.run_id, request_key="c", message="Go on"), by=office.boss
        )
        seen = await office.ended(leg.run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message


async def test_a_kill_on_another_machine_is_unconfirmed_until_somebody_looks_there(
    office: Office, tmp_path: Path
) -> None:
    run = await begun(office, f"{ELSEWHERE}-000000-0:dead0000", ELSEWHERE)
    await wished(office, run, Phase.INTERRUPTED)
    here, there = kills_of(office, "here", tmp_path / "h"), kills_of(office, ELSEWHERE, tmp_path)

    for _ in range(3):
        await here.conclude((await office.look(run)).run)
    unconfirmed = await office.look(run)
    warnings = await told(office, run, EventKind.KILL_UNCONFIRMED)
    after = await there.conclude(unconfirmed.run)

    assert unconfirmed.run.status is RunStatus.RUNNING
    assert unconfirmed.termination is not None
    assert unconfirmed.termination.phase is Phase.UNCONFIRMED
    assert len(warnings) == 1
    assert after.status is RunStatus.KILLED
    confirmed = (await office.look(run)).termination
    assert confirmed is not None
    assert confirmed.phase is Phase.CONFIRMED


async def test_the_other_machine_is_given_time_to_confirm_before_anybody_is_alarmed(
    office: Office, tmp_path: Path
) -> None:
    run = await begun(office, f"{ELSEWHERE}-000000-0:dead0000", ELSEWHERE)
    await wished(office, run, Phase.REQUESTED)
    here = kills_of(office, "here", tmp_path)
    here.hearing = timedelta(minutes=1)

    await here.conclude((await office.look(run)).run)

    seen = await office.look(run)
    assert seen.termination is not None
    assert seen.termination.phase is Phase.REQUESTED
    assert await told(office, run, EventKind.KILL_UNCONFIRMED) == []


async def test_a_machine_that_stays_away_frees_the_session_and_says_so(
    office: Office, tmp_path: Path
) -> None:
    run = await begun(office, f"{ELSEWHERE}-000000-0:dead0000", ELSEWHERE)
    await wished(office, run, Phase.INTERRUPTED)
    here, there = kills_of(office, "here", tmp_path / "h"), kills_of(office, ELSEWHERE, tmp_path)
    here.patience = timedelta(0)

    await here.conclude((await office.look(run)).run)
    given_up = await office.look(run)
    await here.look()
    still = await office.look(run)
    await there.look()
    proven = await office.look(run)

    assert given_up.run.stop_reason is StopReason.WORKER_LOST
    assert ELSEWHERE in str(given_up.run.error_message)
    assert given_up.run.can_continue
    assert still.termination is not None
    assert still.termination.phase is Phase.UNCONFIRMED
    assert proven.termination is not None
    assert proven.termination.phase is Phase.CONFIRMED
    assert proven.run.stop_reason is StopReason.WORKER_LOST
    assert len(await told(office, run, EventKind.RUN_ENDED)) == 1


async def test_a_run_that_waits_after_its_machine_was_lost_is_killed_only_with_proof(
    office: Office, tmp_path: Path
) -> None:
    run = await begun(office, f"{ELSEWHERE}-000000-0:dead0000", ELSEWHERE)
    here, there = kills_of(office, "here", tmp_path / "h"), kills_of(office, ELSEWHERE, tmp_path)
    await here.ledger.requeue(run, why="its worker was lost")

    termination = await office.workplace.runs.kill(KillRequest(named=run.run_id), by=office.boss)
    await here.look()
    waiting = await office.look(run)
    await there.look()
    seen = await office.look(run)

    assert termination.phase is Phase.REQUESTED
    assert waiting.run.status is RunStatus.PENDING
    assert waiting.termination is not None
    assert waiting.termination.phase is Phase.UNCONFIRMED
    assert seen.run.status is RunStatus.KILLED


async def test_a_run_that_was_handed_over_with_proof_is_killed_at_once(office: Office) -> None:
    async with office.worker():
        run = await office.start("[scenario: long] [turns: 30] [delay: 0.3s] work")
        await office.until(run, lambda seen: seen.run.tool_calls >= 1)
    waiting = (await office.look(run)).run

    termination = await office.workplace.runs.kill(KillRequest(named=run.run_id), by=office.boss)

    assert waiting.status is RunStatus.PENDING
    assert waiting.attempt == 2
    assert termination.phase is Phase.CONFIRMED
    assert (await office.look(run)).run.status is RunStatus.KILLED


async def test_leftovers_of_a_run_that_goes_on_elsewhere_are_ended_and_reported(
    office: Office,
) -> None:
    run = await begun(office, f"{ELSEWHERE}-000000-0:alive000", ELSEWHERE)
    async with hostile_tree(office, run):
        async with office.worker():
            pass
        left = await asyncio.to_thread(find_tree, run.run_id, None)

    (report,) = await told(office, run, EventKind.LEFTOVERS_ENDED)
    assert left == ()
    assert report.data["survivors"] == 0
    assert "bash" in report.data["ended"]


async def test_directories_of_attempts_that_are_over_are_removed_at_the_start(
    office: Office, tmp_path: Path
) -> None:
    run = await begun(office, f"{ELSEWHERE}-000000-0:alive000", ELSEWHERE)
    agents = office.settings.node.home / "agents"
    over, resumed = agents / "run_000000000000-1", tmp_path / "claude-resume-x"

    def leave() -> None:
        resumed.mkdir()
        (over / "home").mkdir(parents=True)
        (over / "resumed").symlink_to(resumed)

    await asyncio.to_thread(leave)
    async with office.worker():
        left = await asyncio.to_thread(lambda: sorted(path.name for path in agents.iterdir()))

    assert left == [f"{run.run_id}-1"]
    assert not await asyncio.to_thread(resumed.exists)


@pytest.mark.parametrize(
    ("scenario", "phase"),
    [
        ("slow-commit] [pause: 20000", Phase.DRAINING),
        ("kill-hostile", Phase.INTERRUPTED),
        ("kill-hostile", Phase.TERMINATED),
    ],
)
async def test_a_worker_killed_in_a_kill_leaves_it_to_its_successor(
    office: Office, tmp_path: Path, scenario: str, phase: Phase
) -> None:
    home = new_home(tmp_path / "other")
    dsn = office.workplace.database.dsn
    variables: dict[str, Any] = {"DATABASE_URL": dsn, **of_model(office.model)}
    async with running("worker", home, **variables) as worker:
        run = await office.start(f"[scenario: {scenario}] work")
        await office.until(run, lambda now: now.run.tool_calls >= 2)
        await office.workplace.runs.kill(KillRequest(named=run.run_id), by=office.boss)
        await office.until(
            run, lambda now: now.termination is not None and phase in now.termination.phases
        )
        worker.send(signal.SIGKILL)
        await worker.ended()
    async with running("worker", home, **variables):
        seen = await office.ended(run)
        left = await asyncio.to_thread(find_tree, run.run_id, None)

    assert left == ()
    assert seen.run.status is RunStatus.KILLED
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert seen.termination.survivors == ()
