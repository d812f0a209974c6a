"""An installation restarted process by process with live runs: nothing is lost or repeated."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus
from core.store import events
from core.store.database.engine import Database
from tests.flows.test_spine_faults import slots
from tests.harness import Harness, open_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.processes import Program, new_home, running

pytestmark = [pytest.mark.slow, pytest.mark.sampled(3, group="fleet")]

TASK = f"builder --turns {MANY_TURNS} {LASTING}"
# The last attempts start their agents first; a start takes seconds on a busy machine.
PATIENCE = 150.0


class Installation:
    """Bots and workers, each a process with its own home."""

    def __init__(self, harness: Harness, folder: Path, stack: AsyncExitStack) -> None:
        self._console = harness
        self._folder = folder
        self._stack = stack
        self._count = 0

    async def start(self, command: str) -> Program:
        """Start one more process without waiting for it."""
        self._count += 1
        home = new_home(self._folder / f"{command}-{self._count}")
        # Two slots each: of three runs, at least one is on the worker that is replaced first.
        variables = {**self._console.variables(home), "SIGNALBOX_WORKER_SLOTS": 2}
        return await self._stack.enter_async_context(running(command, home, **variables))

    async def replace(self, command: str, old: Program) -> Program:
        """Start a new process, then stop the old one."""
        new = await self.start(command)
        await new.wait_until_ready()
        with self._console.stopping():
            old.send(signal.SIGTERM)
            assert await old.wait_until_ended(within=20) == 0, old.output
        return new


async def tool_calls(harness: Harness, run: Run) -> list[str]:
    """Ids of a run's tool calls in all its attempts."""
    async with harness.database.sessions() as session:
        started = await events.of_run(
            session, run.id, kinds=(EventKind.TOOL_STARTED,), limit=10_000
        )
    return [str(one.data["id"]) for one in started]


async def test_a_rolling_restart_loses_and_repeats_nothing(
    database: Database, tmp_path: Path
) -> None:
    async with (
        open_harness(database, tmp_path / "observer", transport="socket") as harness,
        AsyncExitStack() as stack,
    ):
        lasting = LastingWork(harness.model)
        fleet = Installation(harness, tmp_path, stack)
        bots = [await fleet.start("bot") for _ in range(2)]
        workers = [await fleet.start("worker") for _ in range(2)]
        for program in (*bots, *workers):
            await program.wait_until_ready()
        cards = [await harness.start_in_tool_call(TASK) for _ in range(3)]

        for index in range(2):
            workers[index] = await fleet.replace("worker", workers[index])
            bots[index] = await fleet.replace("bot", bots[index])
        # All workers were replaced while the runs were live.
        lasting.finish()

        for card in cards:
            await card.wait_until_completed(within=PATIENCE)
            await harness.wait_until_drawn()
            assert set(slots(card).values()) == {1}, slots(card)
            assert "Kill" not in card.labels
        assert len(harness.run_cards()) == len(cards)
        ended = await harness.runs()
        calls = {run.run_id: await tool_calls(harness, run) for run in ended}

    assert len(ended) == 3
    assert {run.status for run in ended} == {RunStatus.COMPLETED}
    assert min(run.attempt for run in ended) >= 2
    for run in ended:
        assert len(calls[run.run_id]) == len(set(calls[run.run_id])) == run.tool_calls
