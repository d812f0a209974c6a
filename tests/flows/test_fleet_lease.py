"""A worker that the database cannot hear: its agents stand still until it is known whose they are.

The agent is the real program; between its worker and Postgres is a line that the test cuts.
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
from bot.assembly.node import new_node
from bot.assembly.settings import load_settings
from core.agent.process.ladder import find_run_processes
from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.runs.run import Run, RunStatus
from core.runner.execution.ledger import Ledger
from core.runner.execution.outcome import RESUME_PROMPT
from core.runner.recovery.rescue import RECHECK_AFTER
from core.runner.worker.identity import claimed_identity
from core.runner.worker.node import Node
from core.services.context import ServiceContext
from core.store.database.engine import Database
from core.store.sessions.transcripts import Transcripts
from tests.core_harness import DRAIN, CoreHarness, core_harness
from tests.postgres_proxy import PostgresProxy, open_postgres_proxy
from tests.rescuer import rescuer

__all__ = ["core_harness"]

pytestmark = pytest.mark.slow

# Longer than a heartbeat.
FENCE_AFTER = timedelta(seconds=6)
TASK = "[scenario: long] [turns: 24] [delay: 0.5s] work"


@dataclass
class CuttableWorker:
    """A worker at the end of a line."""

    core_harness: CoreHarness
    line: PostgresProxy
    node: Node

    async def mid_tool(self) -> Run:
        """A run whose agent is at work."""
        run = await self.core_harness.start(TASK)
        return (await self.core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 2)).run

    async def paused(self) -> None:
        """Wait until its agents stand still."""
        async with asyncio.timeout(20):
            while not self.node.lease.paused:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)

    async def gone(self, run: Run) -> None:
        """Wait until no process of a run is left that stood still."""
        async with asyncio.timeout(20):
            while psutil.STATUS_STOPPED in await asyncio.to_thread(states, run):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)


@pytest.fixture
async def cuttable_worker(
    request: pytest.FixtureRequest, core_harness: CoreHarness, tmp_path: Path
) -> AsyncIterator[CuttableWorker]:
    """A worker with its line; the parameter is its fence."""
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
                node = new_node(backend, identity, fence_after=fence_after)
                working = asyncio.create_task(node.run(), name="outpost")
                try:
                    async with asyncio.timeout(20):
                        while not node.is_ready:  # noqa: ASYNC110 - nobody tells
                            await asyncio.sleep(0.01)
                    yield CuttableWorker(core_harness, line, node)
                finally:
                    line.restore()
                    await node.stop(drain=DRAIN)
                    await working


def states(run: Run) -> set[str]:
    """In which states the processes of a run are."""
    found: set[str] = set()
    for one in find_run_processes(run.run_id, None):
        try:
            found.add(psutil.Process(one.pid).status())
        except psutil.NoSuchProcess:
            continue
    return found


async def take_over(database: Database, run: Run) -> Run:
    """What a worker on another machine does when it finds this run's worker silent."""
    later = timedelta(0)
    work = ServiceContext(database, lambda: utc_now() + later)
    rescue = rescuer(Ledger(work, "far-away-0:12345678", "far-away"))
    later += STALLED_AFTER + timedelta(seconds=10)
    assert await rescue.rescue_lost_runs() == []
    later += RECHECK_AFTER
    (lost,) = await rescue.rescue_lost_runs()
    assert lost.run_id == run.run_id
    return lost


async def test_an_agent_without_a_lease_stands_still_and_then_goes_on(
    cuttable_worker: CuttableWorker,
) -> None:
    run = await cuttable_worker.mid_tool()

    cuttable_worker.line.cut()
    await cuttable_worker.paused()
    async with asyncio.timeout(5):
        # Each stops when it is next to run.
        while await asyncio.to_thread(states, run) != {psutil.STATUS_STOPPED}:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    still = await asyncio.to_thread(states, run)
    cuttable_worker.line.restore()

    assert still == {psutil.STATUS_STOPPED}
    ended = (await cuttable_worker.core_harness.wait_until_ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 1), ended.error_message


# With the outage in the way of a beat, the next one comes within seven seconds.
@pytest.mark.parametrize("cuttable_worker", [2 * FENCE_AFTER], indirect=True)
async def test_an_outage_shorter_than_the_fence_stops_nothing(
    cuttable_worker: CuttableWorker, caplog: pytest.LogCaptureFixture
) -> None:
    run = await cuttable_worker.mid_tool()

    cuttable_worker.line.cut()
    await asyncio.sleep(0.5)  # an outage has a length; there is no condition to wait for
    cuttable_worker.line.restore()

    ended = (await cuttable_worker.core_harness.wait_until_ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 1), ended.error_message
    assert "are paused" not in caplog.text


async def test_a_worker_that_comes_back_too_late_ends_its_agent_and_writes_nothing(
    cuttable_worker: CuttableWorker,
) -> None:
    core_harness, database = (
        cuttable_worker.core_harness,
        cuttable_worker.core_harness.backend.database,
    )
    run = await cuttable_worker.mid_tool()
    key = {"project_key": "p", "session_id": str(run.session_id)}
    cuttable_worker.line.cut()
    await cuttable_worker.paused()
    said = await Transcripts(database.sessions).load(key)
    lost = await take_over(database, run)

    cuttable_worker.line.restore()
    await cuttable_worker.gone(run)

    # It is still a worker: its own slot takes the run up again.
    ended = (await core_harness.wait_until_ended(run)).run
    assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, 2), ended.error_message
    assert ended.turns > lost.turns
    assert (ended.cost_usd or 0) > (lost.cost_usd or 0)
    told = await Transcripts(database.sessions).load(key)
    assert said is not None
    assert told is not None
    assert told[: len(said)] == said
    assert RESUME_PROMPT[:40] in json.dumps(told[len(said) : len(said) + 5])
