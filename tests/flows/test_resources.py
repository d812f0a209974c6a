"""What real agents use is sampled while they work, isolated ones too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.sandbox.model.script import Script, Turn, bash, play_in_order
from core.domain.isolation import IsolationMode
from core.domain.resources.sample import SampleSource, Usage
from core.domain.runs.run import Run, RunStatus
from core.runner.resources.disk_sizes import MeasuringTimes
from core.services.fleet.resources import RunResources
from core.store.database.engine import Database
from tests.core_harness import CoreHarness, open_core_harness
from tests.isolation import found_isolation
from tests.limits import limit
from tests.unit.process_trees import linux_only

pytestmark = linux_only

# The agent program, a shell and the tool at least.
_PROCESSES = 3
# More than the agent program ever has.
HELD = 700_000_000
CPU_SECONDS = 1.5
WRITTEN = 6_000_000
CONFIG = '[resources]\nevery = "1s"\n'
QUICK = timedelta(milliseconds=200)
# When a test says so it holds memory, uses a processor and writes a file; and later it goes on.
_WORK = f"""
import os, pathlib, time
while not pathlib.Path("begin").exists():
    time.sleep(0.05)
held = bytearray(b"x") * {HELD}
end = time.process_time() + {CPU_SECONDS}
while time.process_time() < end:
    pass
with open("large", "wb") as file:
    file.write(held[:{WRITTEN}])
    os.fsync(file.fileno())
while not pathlib.Path("seen").exists():
    time.sleep(0.05)
"""
_COMMAND = f"cat > work.py <<'END'\n{_WORK}\nEND\npython3 work.py"
_SCRIPT = Script(
    name="burn",
    description="a tool that uses much",
    play=play_in_order(
        Turn(text="Now this.", calls=(bash(_COMMAND, "Compute", timeout=timedelta(minutes=2)),)),
        Turn(text="## Summary\n\nIt is computed."),
    ),
)
_IDLE_SCRIPT = Script(name="idle", description="", play=play_in_order(Turn(text="Nothing.")))


@pytest.fixture(params=[IsolationMode.AUTO, IsolationMode.NONE])
async def harness(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path
) -> AsyncIterator[CoreHarness]:
    """A core whose agents are isolated, where that is possible, or are not."""
    mode: IsolationMode = request.param
    if mode is IsolationMode.AUTO and found_isolation().isolation is None:
        pytest.skip("agents cannot be isolated here")
    home = tmp_path / "home"
    async with open_core_harness(home, database.dsn, isolation=mode, config=CONFIG) as opened:
        yield opened


async def resources_of(harness: CoreHarness, run: Run) -> RunResources:
    return await harness.backend.resources.of_run(run.run_id, by=harness.operator)


async def wait_until(harness: CoreHarness, run: Run, predicate: Callable[[Usage], bool]) -> None:
    async with limit(60):
        while True:
            usage = (await resources_of(harness, run)).usage
            if usage is not None and predicate(usage):
                return
            await asyncio.sleep(0.1)


async def workspace_of(harness: CoreHarness, run: Run) -> Path:
    path = (await harness.read_run(run)).run.workspace_path
    assert path is not None
    return Path(path)


@pytest.mark.sampled(1)
async def test_a_tool_that_computes_and_holds_memory_is_seen_in_samples_peaks_and_totals(
    harness: CoreHarness,
) -> None:
    harness.model.script = _SCRIPT
    run = await harness.start("Compute it")
    async with harness.worker() as worker:
        assert worker.sampler is not None
        worker.sampler.policy = replace(worker.sampler.policy, every=QUICK)
        worker.sampler.disk.times = MeasuringTimes(every=QUICK, share=1, look=QUICK)
        await wait_until(harness, run, lambda usage: usage.processes_peak >= _PROCESSES)
        workspace = await workspace_of(harness, run)
        await asyncio.to_thread((workspace / "begin").touch)
        await wait_until(
            harness,
            run,
            lambda usage: (
                usage.cpu_seconds >= CPU_SECONDS
                and usage.memory_peak_bytes > HELD
                and (usage.disk_peak_bytes or 0) > WRITTEN
            ),
        )
        await asyncio.to_thread((workspace / "seen").touch)
        ended = await harness.wait_until_ended(run)
        found = await resources_of(harness, run)
        own = await harness.backend.resources.of_worker(
            worker.identity.worker_id, by=harness.operator
        )

    usage, samples = found.usage, found.graph.samples
    assert usage is not None
    assert ended.run.status is RunStatus.COMPLETED
    assert usage.source is SampleSource.PROCESSES
    assert usage.cpu_peak > 0.3
    assert usage.read_bytes is not None
    highest = max(one.memory_bytes for one in samples)
    assert highest > HELD
    # Before the tool began.
    assert samples[0].memory_bytes < HELD
    assert sum(one.cpu_seconds for one in samples) == pytest.approx(usage.cpu_seconds, abs=0.05)
    assert own.samples
    assert all(one.memory_bytes > 10_000_000 for one in own.samples)
    # What its agents used is not the worker's.
    assert max(one.memory_bytes for one in own.samples) < 10**9


async def test_a_run_without_a_sampler_works_the_same_and_has_no_samples(
    database: Database, tmp_path: Path
) -> None:
    config = "[resources]\nenabled = false\n"
    async with open_core_harness(tmp_path / "home", database.dsn, config=config) as harness:
        harness.model.script = _IDLE_SCRIPT
        run = await harness.start("Do nothing")
        async with harness.worker() as worker:
            ended = await harness.wait_until_ended(run)
            found = await resources_of(harness, run)

    assert worker.sampler is None
    assert ended.run.status is RunStatus.COMPLETED
    assert (found.usage, found.graph.samples) == (None, ())
