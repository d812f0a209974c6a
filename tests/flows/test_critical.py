"""A kill waits for critical sections, with the real program and real git."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bot.assembly.config.tables import CriticalTable
from core.agent.critical import MAX_WAIT
from core.agent.process.process_tree import find_run_processes
from core.domain.kills.termination import Phase
from core.domain.runs.event import EventKind
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.runner.execution import ending
from core.store import audit, events
from tests.core_harness import CoreHarness, core_harness

__all__ = ["core_harness"]

pytestmark = pytest.mark.sampled(3)

FIRST = "[scenario: slow-commit]"
# How long a commit takes.  A busy machine needs seconds to notice that one is in progress, and a
# wait for it must end within `MAX_WAIT`.
COMMIT_MS = 7000


def with_patience(harness: CoreHarness) -> CoreHarness:
    """The same core, whose kills wait as long as they may for a commit."""
    settings = harness.backend.settings
    critical = CriticalTable(wait=MAX_WAIT.total_seconds())  # type: ignore[arg-type]  # it is read
    config = settings.config.model_copy(update={"critical": critical})
    return replace(
        harness, backend=replace(harness.backend, settings=replace(settings, config=config))
    )


async def start_commit(core_harness: CoreHarness, task: str) -> Run:
    """Start a run and wait until its commit is in progress."""
    run = await core_harness.start(task)
    seen = await core_harness.wait_until(run, lambda now: now.run.tool_calls >= 2)
    return seen.run


async def kill_and_wait(core_harness: CoreHarness, run: Run, *, force: bool = False) -> RunSnapshot:
    request = KillRequest(target=run.run_id, force=force)
    await core_harness.backend.runs.kill(request, by=core_harness.operator)
    return await core_harness.wait_until_ended(run, within=20)


def subjects(run: Run) -> list[str]:
    """Subjects of the commits in the run's workspace, newest first."""
    assert run.workspace_path is not None
    log = subprocess.run(
        ["git", "-C", run.workspace_path, "log", "--format=%s"],
        capture_output=True, text=True, check=False, timeout=10,
    )  # fmt: skip
    return log.stdout.split()


def lock_of(run: Run) -> Path:
    """The lock file that an interrupted git leaves, which blocks the next one."""
    return Path(str(run.workspace_path), ".git/index.lock")


async def test_a_kill_lets_a_commit_finish(core_harness: CoreHarness) -> None:
    core_harness = with_patience(core_harness)
    async with core_harness.worker():
        run = await start_commit(core_harness, f"{FIRST} [pause: {COMMIT_MS}] work")
        seen = await kill_and_wait(core_harness, run)

    assert seen.run.status is RunStatus.KILLED
    assert subjects(seen.run) == ["first"]
    termination = seen.termination
    assert termination is not None
    *begun, after = list(termination.phases)[:4]
    assert begun == [Phase.REQUESTED, Phase.ACKNOWLEDGED, Phase.DRAINING]
    # Its next call is refused, so the agent may end before it is asked to.
    assert after in (Phase.INTERRUPTED, Phase.CONFIRMED)
    assert termination.phase is Phase.CONFIRMED
    (waited,) = termination.waited_for
    assert waited.finished
    assert waited.tool == "Bash"
    assert waited.summary == "git commit -q -m first"
    assert 0 < waited.milliseconds < MAX_WAIT.total_seconds() * 1000
    assert termination.phases[after] - termination.phases[Phase.DRAINING] >= waited.milliseconds
    async with core_harness.backend.database.sessions() as session:
        waits = await events.of_run(session, run.id, kinds=[EventKind.CRITICAL_WAITED])
        lines = [line for line in await audit.recent(session, 50) if line.action == "kill_waited"]
    assert [one.data["summary"] for one in waits] == ["git commit -q -m first"]
    assert [line.actor.name for line in lines] == ["Signalbox"]
    assert lines[0].details["waited_for"][0]["milliseconds"] == waited.milliseconds


async def test_a_kill_does_not_wait_forever_for_a_long_commit(
    core_harness: CoreHarness,
) -> None:
    async with core_harness.worker():
        run = await start_commit(core_harness, f"{FIRST} [pause: 30000] work")
        seen = await kill_and_wait(core_harness, run)

    assert subjects(seen.run) == []
    assert seen.termination is not None
    (waited,) = seen.termination.waited_for
    assert not waited.finished
    assert waited.milliseconds >= 3000
    assert seen.run.status is RunStatus.KILLED
    assert find_run_processes(run.run_id, None) == ()
    assert not lock_of(seen.run).exists()


async def test_force_waits_for_nothing(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await start_commit(core_harness, f"{FIRST} [pause: 30000] work")
        seen = await kill_and_wait(core_harness, run, force=True)

    assert seen.termination is not None
    assert Phase.DRAINING not in seen.termination.phases
    assert seen.termination.waited_for == ()
    assert seen.run.status is RunStatus.KILLED


async def test_force_ends_the_wait_for_a_commit(core_harness: CoreHarness) -> None:
    core_harness = with_patience(core_harness)
    async with core_harness.worker():
        run = await start_commit(core_harness, f"{FIRST} [pause: 30000] work")
        await core_harness.backend.runs.kill(
            KillRequest(target=run.run_id), by=core_harness.operator
        )
        await core_harness.wait_until(
            run,
            lambda now: now.termination is not None and Phase.DRAINING in now.termination.phases,
        )
        seen = await kill_and_wait(core_harness, run, force=True)

    assert seen.termination is not None
    (waited,) = seen.termination.waited_for
    assert not waited.finished
    assert waited.milliseconds < MAX_WAIT.total_seconds() * 1000
    assert Phase.INTERRUPTED not in seen.termination.phases


async def test_a_run_without_a_kill_commits_as_usual(core_harness: CoreHarness) -> None:
    async with core_harness.worker():
        run = await core_harness.start(f"{FIRST} [pause: 10] work")
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert subjects(seen.run) == ["second", "first"]


async def test_a_stopping_worker_lets_a_commit_finish(
    core_harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    core_harness = with_patience(core_harness)
    # It waits for two seconds, which may be over before a busy machine has begun the commit.
    monkeypatch.setattr(ending, "_HANDOVER_DRAIN", MAX_WAIT)
    async with core_harness.worker():
        # The worker waits a second for the run's own end before it interrupts it.
        run = await start_commit(core_harness, f"{FIRST} [pause: {COMMIT_MS}] work")
    run_with_workspace_on = (await core_harness.read_run(run)).run

    assert run_with_workspace_on.status is RunStatus.PENDING
    assert subjects(run_with_workspace_on) == ["first"]
