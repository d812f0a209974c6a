"""A worker that cannot reach the database: it pauses its agents until its lease is clear.

The agent is the real program; the test cuts the connection between its worker and Postgres.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from bot.assembly.backend import open_backend, utc_now
from bot.assembly.settings import load_settings
from bot.assembly.worker_runtime import new_worker_runtime
from core.agent.process.process_tree import find_run_processes
from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.runs.run import Run, RunStatus
from core.runner.execution.history import RESUME_PROMPT
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.recovery.lost_worker import RECHECK_AFTER
from core.runner.worker.identity import claimed_identity
from core.runner.worker.worker_runtime import WorkerRuntime
from core.services.context import ServiceContext
from core.store.database.engine import Database
from core.store.sessions.transcripts import Transcripts
from tests.core_harness import DRAIN, CoreHarness, core_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit
from tests.postgres_proxy import PostgresProxy, open_postgres_proxy
from tests.rescuer import rescuer

__all__ = ["core_harness"]

pytestmark = [pytest.mark.slow, pytest.mark.sampled(3, group="fleet")]

# Longer than the interval of heartbeats.
FENCE_AFTER = timedelta(seconds=6)


@dataclass
class CuttableWorker:
    """A worker whose connection to Postgres can be cut."""

    core_harness: CoreHarness
    line: PostgresProxy
    runtime: WorkerRuntime
    lasting: LastingWork

    async def start_in_tool_call(self) -> Run:
        """A run whose agent is inside a tool call."""
        run = await self.core_harness.start(LASTING, max_turns=MANY_TURNS)
        return (await self.core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 2)).run

    async def wait_until_paused(self) -> None:
        """Wait until its agents are paused."""
        async with limit(20):
            while not self.runtime.lease.paused:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.05)

    async def wait_until_gone(self, run: Run) -> None:
        """Wait until no stopped process of a run is left."""
        async with limit(20):
            while psutil.STATUS_STOPPED in await asyncio.to_thread(states, run):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)


@pytest.fixture
async def cuttable_worker(
    request: pytest.FixtureRequest, core_harness: CoreHarness, tmp_path: Path
) -> AsyncIterator[CuttableWorker]:
    """A worker behind a proxy to Postgres; the parameter is its fence."""
    fence_after = getattr(request, "param", FENCE_AFTER)
    home = tmp_path / "outpost"
    home.mkdir()
    async with open_postgres_proxy(core_harness.backend.database.dsn) as line:
        settings = load_settings(
            DATABASE_URL=line.dsn,
            SIGNALBOX_HOME=home,
            ANTHROPIC_API_KEY=core_harness.model.api_key,
            ANTHROPIC_BASE_URL=core_harness.model.url,
        )
        async with open_backend(settings, migrates=False) as backend:
            with claimed_identity(home) as identity:
                runtime = await new_worker_runtime(backend, identity, fence_after=fence_after)
                working = asyncio.create_task(runtime.run(), name="outpost")
                try:
                    async with limit(20):
                        while not runtime.is_ready:  # noqa: ASYNC110 - there is no event
                            await asyncio.sleep(0.01)
                    lasting = LastingWork(core_harness.model)
                    yield CuttableWorker(core_harness, line, runtime, lasting)
                finally:
                    line.restore()
                    await runtime.stop(drain=DRAIN)
                    await working


def states(run: Run) -> set[str]:
    """The states of a run's processes."""
    found: set[str] = set()
    for one in find_run_processes(run.run_id, None):
        try:
            found.add(psutil.Process(one.pid).status())
        except psutil.NoSuchProcess:
            continue
    return found


async def take_over(database: Database, run: Run) -> Run:
    """Rescue the run as a worker on another machine does when this worker is silent."""
    later = timedelta(0)
    work = ServiceContext(database, lambda: utc_now() + later)
    rescue = rescuer(Ledger(work, "far-away-0:12345678", "far-away"))
    later += STALLED_AFTER + timedelta(seconds=10)
    assert await rescue.rescue_lost_runs() == []
    later += RECHECK_AFTER
    (lost,) = await rescue.rescue_lost_runs()
    assert lost.run_id == run.run_id
    return lost


async def test_an_agent_without_a_lease_is_paused_and_then_continues(
    cuttable_worker: CuttableWorker,
) -> None:
    run = await cuttable_worker.start_in_tool_call()

    cuttable_worker.line.cut()
    await cuttable_worker.wait_until_paused()
    async with limit(5):
        # A process stops when it is scheduled next.
        while await asyncio.to_thread(states, run) != {psutil.STATUS_STOPPED}:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    still = await asyncio.to_thread(states, run)
    cuttable_worker.lasting.finish()
    cuttable_worker.line.restore()

    assert still == {psutil.STATUS_STOPPED}
    ended = (await cuttable_worker.core_harness.wait_until_ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 1), ended.error_message


# If the outage delays a heartbeat, the next one comes within seven seconds.
@pytest.mark.parametrize("cuttable_worker", [2 * FENCE_AFTER], indirect=True)
async def test_an_outage_shorter_than_the_fence_stops_nothing(
    cuttable_worker: CuttableWorker, caplog: pytest.LogCaptureFixture
) -> None:
    run = await cuttable_worker.start_in_tool_call()

    cuttable_worker.line.cut()
    await asyncio.sleep(0.5)  # the length of the outage; there is no condition to wait for
    cuttable_worker.line.restore()
    cuttable_worker.lasting.finish()

    ended = (await cuttable_worker.core_harness.wait_until_ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 1), ended.error_message
    assert "are paused" not in caplog.text


async def test_a_worker_that_returns_too_late_ends_its_agent_and_writes_nothing(
    cuttable_worker: CuttableWorker,
) -> None:
    core_harness, database = (
        cuttable_worker.core_harness,
        cuttable_worker.core_harness.backend.database,
    )
    run = await cuttable_worker.start_in_tool_call()
    key = {"project_key": "p", "session_id": str(run.session_id)}
    cuttable_worker.line.cut()
    await cuttable_worker.wait_until_paused()
    said = await Transcripts(database).load(key)
    lost = await take_over(database, run)

    cuttable_worker.lasting.finish()
    cuttable_worker.line.restore()
    await cuttable_worker.wait_until_gone(run)

    # It is still a worker: its own slot executes the run again.
    ended = (await core_harness.wait_until_ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
    assert ended.turns > lost.turns
    assert (ended.cost_usd or 0) > (lost.cost_usd or 0)
    stored = await Transcripts(database).load(key)
    assert said is not None
    assert stored is not None
    assert stored[: len(said)] == said
    assert RESUME_PROMPT[:40] in json.dumps(stored[len(said) : len(said) + 5])
