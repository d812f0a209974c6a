"""Workers as real processes: one dies, one freezes, one drains; their runs go on or say why not."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from core.agent.process import find_tree, identify
from core.domain.event import EventKind
from core.domain.fleet import WorkerRecord, WorkerState
from core.domain.process import RunProcess, node_of
from core.domain.request import KillRequest, StartRequest
from core.domain.run import Run, RunStatus, StopReason
from core.domain.workflow import OnWorkerLost
from core.services.runs import RunService
from core.store import events, processes, sessions, workers
from tests.flows.test_fleet_lease import take_over
from tests.processes import Program, new_home, of_model, running
from tests.workplace import Office, office

__all__ = ["office"]

pytestmark = pytest.mark.patient

LONG = "[scenario: long] [turns: {turns}] [delay: 0.5s] work"
# Silent for 45 s, still so 12.5 s later, looked for every 5 s; then the agent starts.
TAKEN_UP_WITHIN = 90.0


@dataclass
class Fleet:
    """Workers with homes of their own, on one database."""

    office: Office
    folder: Path
    homes: list[Path] = field(default_factory=list)

    @asynccontextmanager
    async def worker(self, *, config: str = "", is_awaited: bool = True) -> AsyncIterator[Program]:
        """A worker process in a new home."""
        home = await asyncio.to_thread(new_home, self.folder / f"home-{len(self.homes)}")
        self.homes.append(home)
        with (home / "signalbox.toml").open("a") as file:
            file.write(config)
        variables = {
            "DATABASE_URL": self.office.workplace.database.dsn,
            **of_model(self.office.model),
        }
        async with running("worker", home, **variables) as program:
            if is_awaited:
                await program.ready()
            yield program

    async def workers(self) -> list[WorkerRecord]:
        """What the rows say, the longest there first."""
        async with self.office.workplace.database.sessions() as session:
            long_ago = datetime.now(UTC) - timedelta(days=1)
            found = await workers.listed(session, gone_since=long_ago)
        return sorted(found, key=lambda one: one.started_at)

    async def stands(self, state: WorkerState, *, within: float = 20) -> WorkerRecord:
        """Wait until the first worker is in a state."""
        async with asyncio.timeout(within):
            while True:
                found = await self.workers()
                if found and found[0].state is state:
                    return found[0]
                await asyncio.sleep(0.05)

    async def processes_of(self, run: Run) -> list[RunProcess]:
        """The attempts at a run."""
        async with self.office.workplace.database.sessions() as session:
            return await processes.of_run(session, run.id)

    async def at_work(self, run: Run, *, calls: int = 2) -> Run:
        """Wait until its agent has called tools."""
        seen = await self.office.until(run, lambda now: now.run.tool_calls >= calls)
        return seen.run

    async def told(self, run: Run, *kinds: EventKind) -> list[dict[str, object]]:
        """Data of a run's events of these kinds."""
        async with self.office.workplace.database.sessions() as session:
            found = await events.of_run(session, run.id, kinds=kinds, limit=10_000)
        return [dict(one.data) for one in found]

    async def counts_right(self, run: Run) -> None:
        """The row's figures are those of all attempts together, each counted once."""
        results = await self.told(run, EventKind.AGENT_RESULT)
        calls = {str(told["id"]) for told in await self.told(run, EventKind.TOOL_STARTED)}
        assert run.tool_calls == len(calls)
        assert run.turns >= int(str(results[-1]["turns"]))


@pytest.fixture
def fleet(office: Office, tmp_path: Path) -> Fleet:
    return Fleet(office, tmp_path)


def is_alive(process: RunProcess) -> bool:
    """Whether the agent of an attempt lives."""
    agent = process.agent
    return agent is not None and identify(agent.pid) == agent


async def agent_gone(process: RunProcess, *, within: float = 10) -> None:
    """Wait until the agent of an attempt is gone."""
    async with asyncio.timeout(within):
        while is_alive(process):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def test_four_runs_of_a_worker_that_is_killed_go_on_elsewhere_or_fail_as_configured(
    fleet: Fleet,
) -> None:
    office, loop = fleet.office, asyncio.get_running_loop()
    # Enough to outlast the start of the second worker.
    task = LONG.format(turns=32)
    stubborn = RunService(
        office.workplace.work, office.workplace.catalog, on_worker_lost=OnWorkerLost.FAIL
    )
    async with fleet.worker() as first:
        started = [await office.start(task) for _ in range(3)]
        request = StartRequest(workflow="implement", task=task, request_key=uuid4().hex)
        doomed = (await stubborn.start(request, by=office.boss)).run
        all_four = [*started, doomed]
        for run in all_four:
            await fleet.at_work(run)
        async with fleet.worker() as second:
            before = {run.run_id: (await office.look(run)).run for run in all_four}
            agents = [(await fleet.processes_of(run))[0] for run in all_four]
            assert {run.status for run in before.values()} == {RunStatus.RUNNING}, before

            first.send(signal.SIGKILL)
            began = loop.time()
            for process in agents:
                await agent_gone(process)
            for run in started:
                await office.until(
                    run,
                    lambda seen: seen.run.attempt == 2 and seen.run.status is RunStatus.RUNNING,
                    within=TAKEN_UP_WITHIN,
                )
            failed = (await office.ended(doomed, within=TAKEN_UP_WITHIN)).run
            took = loop.time() - began
            ended = [(await office.ended(run, within=90)).run for run in started]
            assert second.process.returncode is None

    assert took < TAKEN_UP_WITHIN
    assert (failed.status, failed.stop_reason) == (RunStatus.FAILED, StopReason.WORKER_LOST)
    assert failed.turns >= before[doomed.run_id].turns
    assert (failed.cost_usd or 0) >= (before[doomed.run_id].cost_usd or 0) > 0
    assert find_tree(doomed.run_id, None) == ()
    for run in ended:
        assert (run.status, run.attempt) == (RunStatus.COMPLETED, 2), run.error_message
        assert run.turns > before[run.run_id].turns
        assert (run.cost_usd or 0) > (before[run.run_id].cost_usd or 0)
        assert len(await fleet.told(run, EventKind.WORKER_LOST)) == 1
        await fleet.counts_right(run)


async def test_a_frozen_worker_that_thaws_ends_its_agent_at_once_and_writes_nothing(
    fleet: Fleet,
) -> None:
    office, database = fleet.office, fleet.office.workplace.database
    async with fleet.worker() as worker:
        run = await office.start(LONG.format(turns=26))
        await fleet.at_work(run)
        worker.send(signal.SIGSTOP)
        try:
            lost = await take_over(database, run)
        finally:
            worker.send(signal.SIGCONT)
        (agent, *_) = await fleet.processes_of(run)

        await agent_gone(agent)
        ended = (await office.ended(run)).run

        assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
        assert ended.turns > lost.turns
        await fleet.counts_right(ended)
        assert worker.process.returncode is None


async def test_a_worker_that_thaws_beside_its_successor_does_it_no_harm(fleet: Fleet) -> None:
    office = fleet.office
    async with fleet.worker() as frozen:
        run = await office.start(LONG.format(turns=26))
        await fleet.at_work(run)
        frozen.send(signal.SIGSTOP)
        try:
            lost = await take_over(office.workplace.database, run)
            async with fleet.worker():
                await fleet.at_work(run, calls=lost.tool_calls + 2)

                frozen.send(signal.SIGCONT)
                ended = (await office.ended(run)).run
        finally:
            frozen.send(signal.SIGCONT)

    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
    await fleet.counts_right(ended)


async def test_a_draining_worker_takes_no_jobs_and_its_run_can_be_killed(fleet: Fleet) -> None:
    office = fleet.office
    async with fleet.worker(config="[worker]\ndrain = 60\n") as worker:
        run = await office.start(LONG.format(turns=29))
        await fleet.at_work(run)

        worker.send(signal.SIGTERM)
        draining = await fleet.stands(WorkerState.DRAINING)
        waiting = await office.start(LONG.format(turns=1))
        await office.workplace.runs.kill(KillRequest(named=run.run_id), by=office.boss)
        killed = (await office.ended(run)).run
        status = await worker.ended()

    assert draining.live_runs == 1
    assert (killed.status, killed.attempt) == (RunStatus.KILLED, 1)
    assert (await office.look(waiting)).run.status is RunStatus.PENDING
    assert status == 0, worker.output
    (gone,) = await fleet.workers()
    assert (gone.state, gone.live_runs) == (WorkerState.GONE, 0)


async def test_a_drain_lets_a_run_come_to_its_end(fleet: Fleet) -> None:
    async with fleet.worker(config="[worker]\ndrain = 60\n") as worker:
        run = await fleet.office.start(LONG.format(turns=12))
        await fleet.at_work(run)

        worker.send(signal.SIGTERM)
        ended = (await fleet.office.ended(run)).run
        status = await worker.ended()

    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 1), ended.error_message
    assert status == 0, worker.output


async def test_a_second_signal_hands_over_at_once_and_nothing_is_lost(fleet: Fleet) -> None:
    office = fleet.office
    async with fleet.worker(config="[worker]\ndrain = 600\n") as worker:
        run = await office.start(LONG.format(turns=26))
        await fleet.at_work(run)
        worker.send(signal.SIGTERM)
        await fleet.stands(WorkerState.DRAINING)

        worker.send(signal.SIGTERM)
        status = await worker.ended(within=20)

    handed = (await office.look(run)).run
    assert status == 0, worker.output
    assert (handed.status, handed.attempt) == (RunStatus.PENDING, 2)
    async with fleet.worker():
        ended = (await office.ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
    assert ended.turns > handed.turns > 0
    await fleet.counts_right(ended)


async def test_a_sessions_next_leg_goes_to_the_node_that_holds_its_workspace(
    fleet: Fleet,
) -> None:
    office = fleet.office
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(fleet.worker())
        await stack.enter_async_context(fleet.worker())
        for name in ("one", "two"):
            legs = []
            for _ in range(3):
                run = await office.start(LONG.format(turns=1), session_name=name)
                legs.append((await office.ended(run)).run)
            async with office.workplace.database.sessions() as session:
                conversation = await sessions.get(session, legs[0].session_id)

            nodes = {node_of(leg.worker_id or "") for leg in legs}
            assert nodes == {conversation.workspace_node}
