"""The sampler of a worker: what it stores of its runs, and what it drops."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.assembly.backend import utc_now
from core.agent.process.process_tree import ProcessTree
from core.domain.actor import SYSTEM
from core.domain.runs.run import Run
from core.runner.execution.attempt import Attempt
from core.runner.resources.sampler import Sampler
from core.services.context import ServiceContext
from core.store.database.engine import Database, open_database
from tests.database import NOW, missing_table, running_run
from tests.db.test_resources import FIVE, logged, service, stored
from tests.limits import limit
from tests.unit.process_trees import StartedTree, linux_only, start_tree


@dataclass
class Sampled:
    """A sampler with one attempt, whose clock a test moves."""

    sampler: Sampler
    now: datetime = NOW

    async def take(self, *, after: float = 5) -> None:
        self.now += timedelta(seconds=after)
        await self.sampler.take()


def sampled(database: Database, run: Run, tree: StartedTree, home: Path) -> Sampled:
    workspace = SimpleNamespace(id="ws_1", path=home)
    attempt: Any = SimpleNamespace(
        run=run,
        opened=SimpleNamespace(
            agent=SimpleNamespace(tree=ProcessTree(tree.run_marker, tree.root)),
            workspace=workspace,
        ),
    )
    attempts: list[Attempt] = [attempt]
    one: Sampled
    sampler = Sampler(
        context=ServiceContext(database, lambda: one.now),
        worker_id="w1",
        home=home,
        attempts=lambda: attempts,
    )
    one = Sampled(sampler)
    return one


@linux_only
async def test_a_look_at_a_run_and_its_worker_is_stored(database: Database, tmp_path: Path) -> None:
    run = await running_run(database)
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    with start_tree("bash", "-c", "sleep 60 & echo ready; wait") as tree:
        one = sampled(database, run, tree, tmp_path)
        await one.sampler.disk.measure_one()

        # Of a tree that has just begun the first look makes no sample.
        for _ in range(3):
            await one.take()

    rows = await stored(database)
    last = [row.sample for row in rows if row.run == run.id][-1]
    of_worker = [row.sample for row in rows if row.run is None]
    assert len(of_worker) == 2
    assert last.seconds == of_worker[0].seconds == 5
    assert last.processes == 2
    assert last.memory_bytes > 100_000
    assert 200_000 <= (last.disk_bytes or 0) < 400_000
    assert of_worker[0].memory_bytes > 10_000_000
    assert (of_worker[0].disk_bytes or 0) > 200_000
    usage = (await service(database).of_run(run.run_id, by=SYSTEM)).usage
    assert usage is not None
    assert usage.sampled_until == one.now
    assert usage.processes_peak == 2


@linux_only
async def test_samples_are_dropped_while_they_cannot_be_stored_and_usage_is_whole_afterwards(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = await running_run(database)
    with start_tree("bash", "-c", "sleep 60 & echo ready; wait") as tree:
        one = sampled(database, run, tree, tmp_path)
        await one.take()
        await one.take()
        good = one.sampler.context
        unreachable = "postgresql://nobody@127.0.0.1:1/none"
        async with open_database(unreachable) as broken:
            one.sampler.context = ServiceContext(broken, lambda: one.now)
            with caplog.at_level(logging.WARNING):
                await one.take()
                await one.take()
        one.sampler.context = good
        await one.take()

    assert logged(caplog).count("samples.dropped") == 1
    rows = [row.sample for row in await stored(database) if row.run == run.id]
    assert [sample.at for sample in rows][-2:] == [NOW + 2 * FIVE, NOW + 5 * FIVE]
    usage = (await service(database).of_run(run.run_id, by=SYSTEM)).usage
    assert usage is not None
    assert usage.sampled_until == NOW + 5 * FIVE


@linux_only
async def test_the_loop_goes_on_after_a_failure_that_it_reports_once(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = await running_run(database)
    with start_tree("bash", "-c", "sleep 60 & echo ready; wait") as tree:
        one = sampled(database, run, tree, tmp_path)
        one.sampler.policy = replace(one.sampler.policy, every=timedelta(milliseconds=20))
        one.sampler.context = ServiceContext(database, utc_now)
        async with missing_table(database, "resource_samples"):
            task = asyncio.create_task(one.sampler.run())
            async with limit(20):
                while "samples.failed" not in logged(caplog):  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0.02)
        async with limit(20):
            while not await stored(database):  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait({task})

    assert logged(caplog).count("samples.failed") == 1
