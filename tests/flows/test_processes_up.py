"""Signalbox as long-lived processes: ready, drained, shared, killed."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from core.agent.process import find_tree
from core.domain.run import Run, RunStatus
from core.domain.snapshot import RunSnapshot
from core.store import processes
from tests.console import Card, Console, idle_console, open_console
from tests.processes import Program, new_home, running

__all__ = ["idle_console"]

pytestmark = pytest.mark.patient

SLOW = "builder [scenario: long] [turns: 12] [delay: 0.5s] work"
LONG = "builder [scenario: long] [turns: 12] [delay: 0.7s] work"
# What a supervisor waits for, as a rule.
DRAIN_LIMIT = 15.0


@asynccontextmanager
async def process(
    console: Console, command: str, *, home: Path | None = None, **variables: object
) -> AsyncIterator[Program]:
    """A process that belongs to the console; it is waited for."""
    place = home or console.home
    if not place.exists():
        await asyncio.to_thread(new_home, place)
    given = {**console.variables(place), **variables}
    del given["SIGNALBOX_PORT"]
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(command, place, **given))
        if command in ("up", "bot") and console.transport == "http":
            console.sandbox.events_url = f"{await program.listening()}/slack/events"
        yield program
        with console.stopping():
            await stack.aclose()


async def finished(console: Console, card: Card) -> Run:
    """Wait for the run's end in its thread."""
    await card.says("Completed", within=90)
    run = (await console.run_of(card)).run
    assert run.status is RunStatus.COMPLETED
    return run


async def test_readiness_waits_for_slack(idle_console: Console) -> None:
    idle_console.sandbox.faults.add("auth.test", "500", times=1000)
    async with process(idle_console, "up") as up:
        async with asyncio.timeout(60):
            while (status := await up.readiness()) is None:
                assert up.process.returncode is None, up.output
                await asyncio.sleep(0.05)
        idle_console.sandbox.faults.clear()
        await up.ready()

        assert status == HTTPStatus.SERVICE_UNAVAILABLE
        up.send(signal.SIGTERM)
        assert await up.ended() == 0, up.output
    idle_console.sandbox.take_problems()


async def test_a_live_run_is_handed_over_by_sigterm_and_ended_by_the_next_process(
    idle_console: Console,
) -> None:
    console = idle_console
    async with process(console, "up") as up:
        await up.ready()
        card = await console.in_mid_tool(SLOW)

        began = time.monotonic()
        with console.stopping():
            up.send(signal.SIGTERM)
            status = await up.ended()
        took = time.monotonic() - began

    handed_over = (await console.run_of(card)).run
    assert status == 0, up.output
    assert took < DRAIN_LIMIT, up.output
    assert handed_over.status is RunStatus.PENDING
    assert await asyncio.to_thread(find_tree, handed_over.run_id, None) == ()
    async with process(console, "up") as again:
        await again.ready()
        run = await finished(console, card)
        await console.settle()
    assert run.attempt == 2
    assert len(console.cards()) == 1
    assert "Traceback" not in up.output + again.output


@pytest.fixture
async def fleet(database: object, tmp_path: Path) -> AsyncIterator[Console]:
    """A console over Socket Mode, for a bot and workers that are processes."""
    async with open_console(database, tmp_path / "bot", transport="socket") as opened:  # type: ignore[arg-type]
        yield opened


async def worker_of(console: Console, run: Run) -> str:
    async with console.database.sessions() as session:
        return (await processes.of_run(session, run.id))[-1].worker_id


def is_safe(seen: RunSnapshot) -> bool:
    """Whether a run has ended, or was taken up again."""
    return seen.run.attempt == 2 or not seen.run.is_live


async def test_a_killed_workers_run_goes_on_as_soon_as_it_is_back(fleet: Console) -> None:
    home = fleet.home.parent / "worker"
    async with process(fleet, "bot") as bot:
        async with process(fleet, "worker", home=home) as worker:
            await asyncio.gather(bot.ready(), worker.ready())
            card = await fleet.in_mid_tool(SLOW)
            worker.send(signal.SIGKILL)
            await worker.ended()
        async with process(fleet, "worker", home=home):
            run = await finished(fleet, card)
            await fleet.settle()

    assert run.attempt == 2


# Slow by its nature: that a worker is dead and not only silent is believed after 45 s and a
# second look, and these limits are no settings.  It hardly uses the processor meanwhile.
@pytest.mark.timeout(300)
async def test_two_workers_share_runs_and_one_takes_over_from_the_other(
    fleet: Console,
) -> None:
    one_slot = {"SIGNALBOX_WORKER_SLOTS": 1}
    async with (
        process(fleet, "bot") as bot,
        process(fleet, "worker", home=fleet.home.parent / "w1", **one_slot) as first,
        process(fleet, "worker", home=fleet.home.parent / "w2", **one_slot) as second,
    ):
        await asyncio.gather(bot.ready(), first.ready(), second.ready())
        for number in range(2):
            await fleet.command(f"run {LONG} {number}")
        cards = await fleet.human.wait_for(
            lambda: found if len(found := fleet.cards()) == 2 else None, what="two cards"
        )
        runs = [(await fleet.run_of(card)).run for card in cards]
        for run in runs:
            await fleet.until(run, lambda seen: seen.run.tool_calls >= 2)
        workers = {run.run_id: await worker_of(fleet, run) for run in runs}
        assert len(set(workers.values())) == 2

        first.send(signal.SIGKILL)
        died_at = time.monotonic()
        for run in runs:
            await fleet.until(run, is_safe, within=90)
        took = time.monotonic() - died_at

        ended = [await finished(fleet, card) for card in cards]
        await fleet.settle()
        assert sorted(run.attempt for run in ended) == [1, 2]
        assert took < 90
        assert second.process.returncode is None
