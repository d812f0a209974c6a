"""Workers as real processes: when one dies, freezes or drains, its runs continue or say why not."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.domain.fleet.attempt import AttemptRecord, node_of
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus
from core.store.fleet import attempts, workers
from core.store.sessions import sessions
from tests.core_harness import CoreHarness, assert_counted_once, core_harness
from tests.flows.test_fleet_lease import take_over
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit
from tests.processes import Program, model_variables, new_home, running, wait_until_agent_gone

__all__ = ["core_harness"]

pytestmark = [pytest.mark.slow, pytest.mark.sampled(3, group="fleet")]

SHORT = "[scenario: long] [turns: 1] work"


@dataclass
class Fleet:
    """Workers with separate homes on one database."""

    core_harness: CoreHarness
    folder: Path
    lasting: LastingWork
    homes: list[Path] = field(default_factory=list)

    @asynccontextmanager
    async def worker(
        self, *, config: str = "", waits_until_ready: bool = True
    ) -> AsyncIterator[Program]:
        """A worker process with a new home."""
        home = await asyncio.to_thread(new_home, self.folder / f"home-{len(self.homes)}")
        self.homes.append(home)
        with (home / "signalbox.toml").open("a") as file:
            file.write(config)
        variables = {
            "DATABASE_URL": self.core_harness.backend.database.dsn,
            **model_variables(self.core_harness.model),
        }
        async with running("worker", home, **variables) as program:
            if waits_until_ready:
                await program.wait_until_ready()
            yield program

    async def workers(self) -> list[WorkerRecord]:
        """The workers' rows, the oldest first."""
        async with self.core_harness.backend.database.sessions() as session:
            long_ago = datetime.now(UTC) - timedelta(days=1)
            found = await workers.list_recent(session, gone_since=long_ago)
        return sorted(found, key=lambda one: one.started_at)

    async def wait_for_state(self, state: WorkerState, *, within: float = 20) -> WorkerRecord:
        """Wait until the first worker is in a state."""
        async with limit(within):
            while True:
                found = await self.workers()
                if found and found[0].state is state:
                    return found[0]
                await asyncio.sleep(0.05)

    async def processes_of(self, run: Run) -> list[AttemptRecord]:
        """The attempts of a run."""
        async with self.core_harness.backend.database.sessions() as session:
            return await attempts.of_run(session, run.id)

    async def start_working(self) -> Run:
        """Start a run that lasts, and wait until its agent has called tools."""
        return await self.wait_until_working(
            await self.core_harness.start(LASTING, max_turns=MANY_TURNS)
        )

    async def wait_until_working(self, run: Run, *, calls: int = 2) -> Run:
        """Wait until the run's agent has called tools."""
        seen = await self.core_harness.wait_until(run, lambda now: now.run.tool_calls >= calls)
        return seen.run


@pytest.fixture
def fleet(core_harness: CoreHarness, tmp_path: Path) -> Fleet:
    return Fleet(core_harness, tmp_path, LastingWork(core_harness.model))


async def test_a_frozen_worker_that_thaws_ends_its_agent_at_once_and_writes_nothing(
    fleet: Fleet,
) -> None:
    core_harness, database = fleet.core_harness, fleet.core_harness.backend.database
    async with fleet.worker() as worker:
        run = await fleet.start_working()
        worker.send(signal.SIGSTOP)
        try:
            lost = await take_over(database, run)
            fleet.lasting.finish()
        finally:
            worker.send(signal.SIGCONT)
        (agent, *_) = await fleet.processes_of(run)

        await wait_until_agent_gone(agent)
        ended = (await core_harness.wait_until_ended(run)).run

        assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
        assert ended.turns > lost.turns
        await assert_counted_once(core_harness.backend.database, ended)
        assert worker.process.returncode is None


async def test_a_worker_that_thaws_does_not_disturb_its_successor(fleet: Fleet) -> None:
    core_harness = fleet.core_harness
    async with fleet.worker() as frozen:
        run = await fleet.start_working()
        frozen.send(signal.SIGSTOP)
        try:
            lost = await take_over(core_harness.backend.database, run)
            async with fleet.worker():
                await fleet.wait_until_working(run, calls=lost.tool_calls + 2)

                frozen.send(signal.SIGCONT)
                fleet.lasting.finish()
                ended = (await core_harness.wait_until_ended(run)).run
        finally:
            frozen.send(signal.SIGCONT)

    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
    await assert_counted_once(core_harness.backend.database, ended)


async def test_a_draining_worker_takes_no_jobs_and_its_run_can_be_killed(fleet: Fleet) -> None:
    core_harness = fleet.core_harness
    async with fleet.worker(config="[worker]\ndrain = 60\n") as worker:
        run = await fleet.start_working()

        worker.send(signal.SIGTERM)
        draining = await fleet.wait_for_state(WorkerState.DRAINING)
        waiting = await core_harness.start(SHORT)
        await core_harness.backend.runs.kill(
            KillRequest(target=run.run_id), by=core_harness.operator
        )
        killed = (await core_harness.wait_until_ended(run)).run
        status = await worker.wait_until_ended()

    assert draining.live_runs == 1
    assert (killed.status, killed.attempt) == (RunStatus.KILLED, 1)
    assert (await core_harness.read_run(waiting)).run.status is RunStatus.PENDING
    assert status == 0, worker.output
    (gone,) = await fleet.workers()
    assert (gone.state, gone.live_runs) == (WorkerState.GONE, 0)


async def test_a_drain_lets_a_run_finish(fleet: Fleet) -> None:
    async with fleet.worker(config="[worker]\ndrain = 60\n") as worker:
        run = await fleet.start_working()

        worker.send(signal.SIGTERM)
        await fleet.wait_for_state(WorkerState.DRAINING)
        fleet.lasting.finish()
        ended = (await fleet.core_harness.wait_until_ended(run)).run
        status = await worker.wait_until_ended()

    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 1), ended.error_message
    assert status == 0, worker.output


async def test_a_second_signal_hands_over_at_once_and_nothing_is_lost(fleet: Fleet) -> None:
    core_harness = fleet.core_harness
    async with fleet.worker(config="[worker]\ndrain = 600\n") as worker:
        run = await fleet.start_working()
        worker.send(signal.SIGTERM)
        await fleet.wait_for_state(WorkerState.DRAINING)

        worker.send(signal.SIGTERM)
        status = await worker.wait_until_ended(within=20)

    handed = (await core_harness.read_run(run)).run
    assert status == 0, worker.output
    assert (handed.status, handed.attempt) == (RunStatus.PENDING, 2)
    fleet.lasting.finish()
    async with fleet.worker():
        ended = (await core_harness.wait_until_ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
    assert ended.turns > handed.turns > 0
    await assert_counted_once(core_harness.backend.database, ended)


async def test_a_sessions_next_run_goes_to_the_node_with_its_workspace(
    fleet: Fleet,
) -> None:
    core_harness = fleet.core_harness
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(fleet.worker())
        await stack.enter_async_context(fleet.worker())
        for name in ("one", "two"):
            legs = []
            for _ in range(3):
                run = await core_harness.start(SHORT, session_name=name)
                legs.append((await core_harness.wait_until_ended(run)).run)
            async with core_harness.backend.database.sessions() as session:
                conversation = await sessions.get(session, legs[0].session_id)

            nodes = {node_of(leg.worker_id or "") for leg in legs}
            assert nodes == {conversation.workspace_node}
