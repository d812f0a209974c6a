"""Signalbox as long-lived processes: ready, drained, shared, killed."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from core.agent.process.process_tree import find_run_processes
from core.domain.fleet.attempt import AttemptRecord
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.store.fleet import attempts
from tests.card import Card
from tests.core_harness import assert_counted_once, event_data
from tests.harness import Harness, idle_harness, open_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit, patient
from tests.processes import Program, new_home, running, wait_until_agent_gone

__all__ = ["idle_harness"]

pytestmark = [pytest.mark.slow, pytest.mark.sampled(2, group="processes")]

TASK = f"--turns {MANY_TURNS} {LASTING}"
# 45 s of silence, 12.5 s until the second check, checks every 5 s; then the agent starts.
TAKEN_UP_WITHIN = 90.0
# The usual patience of a supervisor.
DRAIN_LIMIT = 15.0


@asynccontextmanager
async def process(
    harness: Harness, command: str, *, home: Path | None = None, **variables: object
) -> AsyncIterator[Program]:
    """A process of the installation; at the end it is waited for."""
    home_dir = home or harness.home
    if not home_dir.exists():
        await asyncio.to_thread(new_home, home_dir)
    given = {**harness.variables(home_dir), **variables}
    del given["SIGNALBOX_PORT"]
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(command, home_dir, **given))
        if command in ("up", "bot") and harness.transport == "http":
            harness.sandbox.events_url = f"{await program.wait_until_listening()}/slack/events"
        yield program
        with harness.stopping():
            await stack.aclose()


async def wait_until_ended(harness: Harness, card: Card) -> Run:
    """Wait until its thread shows the run's end."""
    await card.wait_until_completed(within=90)
    run = (await harness.run_of(card)).run
    assert run.status is RunStatus.COMPLETED
    return run


async def test_readiness_waits_for_slack(idle_harness: Harness) -> None:
    idle_harness.sandbox.faults.add("auth.test", "500", times=1000)
    async with process(idle_harness, "up") as up:
        async with limit(60):
            while (status := await up.readiness()) is None:
                assert up.process.returncode is None, up.output
                await asyncio.sleep(0.05)
        idle_harness.sandbox.faults.clear()
        await up.wait_until_ready()

        assert status == HTTPStatus.SERVICE_UNAVAILABLE
        up.send(signal.SIGTERM)
        assert await up.wait_until_ended() == 0, up.output
    idle_harness.sandbox.take_problems()


async def test_sigterm_hands_a_live_run_over_to_the_next_process(
    idle_harness: Harness,
) -> None:
    harness, lasting = idle_harness, LastingWork(idle_harness.model)
    async with process(harness, "up") as up:
        await up.wait_until_ready()
        card = await harness.start_in_tool_call(f"builder {TASK}")

        began = time.monotonic()
        with harness.stopping():
            up.send(signal.SIGTERM)
            status = await up.wait_until_ended()
        took = time.monotonic() - began
        lasting.finish()

    run_with_workspace_on = (await harness.run_of(card)).run
    assert status == 0, up.output
    assert took < patient(DRAIN_LIMIT), up.output
    assert run_with_workspace_on.status is RunStatus.PENDING
    assert await asyncio.to_thread(find_run_processes, run_with_workspace_on.run_id, None) == ()
    async with process(harness, "up") as again:
        await again.wait_until_ready()
        run = await wait_until_ended(harness, card)
        await harness.settle()
    assert run.attempt == 2
    assert len(harness.run_cards()) == 1
    assert "Traceback" not in up.output + again.output


@pytest.fixture
async def fleet(database: object, tmp_path: Path) -> AsyncIterator[Harness]:
    """A harness over Socket Mode, for a bot and workers as processes."""
    async with open_harness(database, tmp_path / "bot", transport="socket") as opened:  # type: ignore[arg-type]
        yield opened


async def process_of(harness: Harness, run: Run) -> AttemptRecord:
    """The newest attempt of a run."""
    async with harness.database.sessions() as session:
        return (await attempts.of_run(session, run.id))[-1]


async def test_a_killed_workers_run_continues_as_soon_as_it_is_back(fleet: Harness) -> None:
    home = fleet.home.parent / "worker"
    lasting = LastingWork(fleet.model)
    async with process(fleet, "bot") as bot:
        async with process(fleet, "worker", home=home) as worker:
            await asyncio.gather(bot.wait_until_ready(), worker.wait_until_ready())
            card = await fleet.start_in_tool_call(f"builder {TASK}")
            worker.send(signal.SIGKILL)
            await worker.wait_until_ended()
        lasting.finish()
        async with process(fleet, "worker", home=home):
            run = await wait_until_ended(fleet, card)
            await fleet.settle()

    assert run.attempt == 2


def add_work_once_workflow(folder: Path) -> Path:
    """A directory with a workflow that fails when its worker is lost."""
    folder.mkdir()
    (folder / "once.md").write_text(
        "---\ndescription: Work that must not be begun twice\non_worker_lost: fail\n"
        "allowed_tools: [Bash]\n---\n\nDo what you are asked to do.\n"
    )
    return folder


def is_safe(seen: RunSnapshot) -> bool:
    """Whether a run has ended, or was resumed and continues."""
    is_taken_up = seen.run.attempt == 2 and seen.run.status is RunStatus.RUNNING
    return is_taken_up or not seen.run.is_live


# Slow by design: a worker counts as dead after 45 s and a second check, and these limits are
# not settings.  The test hardly uses the processor.
async def test_one_of_two_workers_takes_over_from_the_other_or_says_why_not(
    fleet: Harness, tmp_path: Path
) -> None:
    lasting = LastingWork(fleet.model)
    given: dict[str, Any] = {
        "SIGNALBOX_WORKER_SLOTS": 4,
        "SIGNALBOX_WORKFLOWS": add_work_once_workflow(tmp_path / "own"),
    }
    async with (
        process(fleet, "bot", **given) as bot,
        process(fleet, "worker", home=fleet.home.parent / "w1", **given) as first,
    ):
        await asyncio.gather(bot.wait_until_ready(), first.wait_until_ready())
        cards = [await fleet.run(f"{name} {TASK}") for name in ("implement",) * 3 + ("once",)]
        async with process(fleet, "worker", home=fleet.home.parent / "w2", **given) as second:
            await second.wait_until_ready()
            # The first worker's slots are all in use: they share the work.
            elsewhere = await fleet.start_in_tool_call(f"implement {TASK}")
            runs = [(await fleet.run_of(card)).run for card in cards]
            for run in runs:
                await fleet.wait_until(run, lambda seen: seen.run.tool_calls >= 2)
            before = [(await fleet.read_run(run)).run for run in runs]
            agents = [await process_of(fleet, run) for run in runs]
            others = await process_of(fleet, (await fleet.run_of(elsewhere)).run)
            assert {run.status for run in before} == {RunStatus.RUNNING}, before
            assert {one.worker_id for one in agents}.isdisjoint({others.worker_id})
            assert len({one.worker_id for one in agents}) == 1

            first.send(signal.SIGKILL)
            died_at = time.monotonic()
            for agent in agents:
                await wait_until_agent_gone(agent)
            for run in runs:
                await fleet.wait_until(run, is_safe, within=TAKEN_UP_WITHIN)
            took = time.monotonic() - died_at
            lasting.finish()

            failed = (await fleet.read_run(runs[3])).run
            await cards[3].wait_for_reply("is lost")
            ended = [await wait_until_ended(fleet, card) for card in cards[:3]]
            untouched = await wait_until_ended(fleet, elsewhere)
            await fleet.settle()
            assert second.process.returncode is None

    assert took < patient(TAKEN_UP_WITHIN)
    assert (failed.status, failed.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert failed.turns >= before[3].turns
    assert (failed.cost_usd or 0) >= (before[3].cost_usd or 0) > 0
    assert find_run_processes(failed.run_id, None) == ()
    assert untouched.attempt == 1
    for run, earlier in zip(ended, before, strict=False):
        assert run.attempt == 2
        assert run.turns > earlier.turns
        assert (run.cost_usd or 0) > (earlier.cost_usd or 0)
        await assert_counted_once(fleet.database, run)
        assert len(await event_data(fleet.database, run, EventKind.WORKER_LOST)) == 1
