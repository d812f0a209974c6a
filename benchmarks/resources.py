"""What the samples of resources cost a worker that executes many runs.

Imitated trees stand for the agents of 20 runs: each has a program with five more below it, of which
one is busy for a moment each second, and is isolated by nothing.  The sampler of a worker looks at
them at its usual interval, and stores what it sees in a real Postgres; each run has a workspace of
some thousand files.  The CPU time is that of this process, which does nothing else, less that of
the same process without a sampler; that of Postgres is shown beside it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import psutil

from benchmarks.machine import machine_line
from benchmarks.results import heading, line, median, spread
from core.agent.process.process_table import identify, iter_processes
from core.agent.process.process_tree import ProcessTree
from core.agent.resources.looks import look_at
from core.domain.resources.policy import DEFAULT_POLICY
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.session import Session
from core.runner.execution.attempt import Attempt
from core.runner.resources.sampler import Sampler
from core.services.context import ServiceContext
from core.store.database.embedded.server import embedded_postgres
from core.store.database.engine import Database, open_database
from core.store.database.migrate import upgrade
from core.store.runs import runs
from core.store.sessions import sessions

RUNS = 20
PROCESSES = 6
_FILES = 3_000
_SECONDS = 60
_LOOKS = 50
# The first one starts five sleepers, and works a little each second.
_TREE = f"""
import subprocess, sys, time
others = [subprocess.Popen(["sleep", "600"]) for _ in range({PROCESSES - 1})]
print("ready", flush=True)
while True:
    end = time.process_time() + 0.002
    while time.process_time() < end:
        pass
    time.sleep(1)
"""


async def measure(*, repetitions: int = 3) -> None:
    """Measure and print the results; each repetition takes two minutes."""
    heading("resources", f"samples of {RUNS} runs with {PROCESSES} processes each")
    line("machine", machine_line())
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="signalbox-samples-")))
        dsn = await stack.enter_async_context(embedded_postgres(folder / "postgres"))
        await asyncio.to_thread(upgrade, dsn)
        database = await stack.enter_async_context(open_database(dsn, pool_size=2))
        attempts = [await _start(stack, database, folder, number) for number in range(RUNS)]
        line("processes on the machine", str(sum(1 for _ in iter_processes())))
        await _measure_looks(attempts)
        shares = [await _measure_share(database, folder, attempts) for _ in range(repetitions)]
        mine = [own for own, _ in shares]
        line("share of one core, worker", f"{median(mine):.2f} %")
        line("  ", spread(mine, unit="%"))
        line("share of one core, Postgres", f"{median([other for _, other in shares]):.2f} %")


async def _measure_looks(attempts: Sequence[Attempt]) -> None:
    trees = [_tree_of(one) for one in attempts]
    times = []
    for _ in range(_LOOKS):
        began = time.process_time()
        await look_at(trees)
        times.append((time.process_time() - began) * 1000)
    line("one look at all of them", spread(times, unit="ms CPU"))


async def _measure_share(
    database: Database, folder: Path, attempts: Sequence[Attempt]
) -> tuple[float, float]:
    """The percent of a core that sampling takes in this process, and in Postgres."""
    idle, idle_postgres = await _used(folder, None)
    sampler = Sampler(
        context=ServiceContext(database, lambda: datetime.now(UTC)),
        worker_id="benchmark",
        home=folder,
        attempts=lambda: attempts,
        policy=DEFAULT_POLICY,
    )
    own, postgres = await _used(folder, sampler)
    return (own - idle) / _SECONDS * 100, (postgres - idle_postgres) / _SECONDS * 100


async def _used(folder: Path, sampler: Sampler | None) -> tuple[float, float]:
    """The CPU seconds of this process and of Postgres in the time that is measured."""
    task = None if sampler is None else asyncio.create_task(sampler.run())
    before, postgres = time.process_time(), _cpu_of_postgres(folder / "postgres")
    await asyncio.sleep(_SECONDS)
    after = time.process_time(), _cpu_of_postgres(folder / "postgres")
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
    return after[0] - before, after[1] - postgres


def _cpu_of_postgres(folder: Path) -> float:
    used = 0.0
    for process in psutil.process_iter(["name", "cwd", "cpu_times"]):
        if process.info["name"] == "postgres" and str(process.info["cwd"]).startswith(str(folder)):
            used += sum(process.info["cpu_times"])
    return used


async def _start(stack: AsyncExitStack, database: Database, folder: Path, number: int) -> Attempt:
    """An attempt with a tree of real processes, a row, and a workspace."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _TREE, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    stack.push_async_callback(_end, process)
    if process.stdout is None:
        raise RuntimeError("its output is a pipe")
    async with asyncio.timeout(30):
        await process.stdout.readline()
    root = identify(process.pid)
    workspace = folder / f"ws_{number}"
    await asyncio.to_thread(_fill, workspace)
    run = await _stored_run(database)
    opened = SimpleNamespace(
        agent=SimpleNamespace(tree=ProcessTree(run.run_id, root)),
        workspace=SimpleNamespace(id=workspace.name, path=workspace),
    )
    made: Any = SimpleNamespace(run=run, opened=opened)
    return cast("Attempt", made)


async def _stored_run(database: Database) -> Run:
    now, identity = datetime.now(UTC), uuid4()
    conversation = Session(id=uuid4(), agent_name="implement", created_at=now)
    run = Run(
        id=identity,
        run_id=f"run_{identity.hex[:12]}",
        workflow_name="implement",
        task_input="Work",
        status=RunStatus.PENDING,
        created_at=now,
        updated_at=now,
        session_id=conversation.id,
    )
    async with database.sessions.begin() as session:
        await sessions.add(session, conversation)
        await runs.add(session, run)
    return run


def _tree_of(attempt: Attempt) -> ProcessTree:
    if attempt.opened.agent is None:
        raise RuntimeError("it has an imitated agent")
    return attempt.opened.agent.tree


def _fill(workspace: Path) -> None:
    for number in range(_FILES):
        file = workspace / f"d{number % 60}" / f"f{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


async def _end(process: asyncio.subprocess.Process) -> None:
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    await process.wait()
