"""A fleet of real processes: Postgres, model and Slack sandbox, two bots, two workers."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environment import run_module
from bot.sandbox.model.server import API_KEY
from bot.sandbox.slack.server import Sandbox, open_sandbox
from tests.faults.balancer import Balancer, open_balancer
from tests.faults.postgres import Postgres, open_postgres, open_rows
from tests.faults.process_watch import ProcessWatch
from tests.faults.rows import Rows
from tests.faults.supervised import SupervisedProgram
from tests.processes import ANY_ROOM, new_home, slack_variables

SLOTS = 5
_WORKSPACES_BYTES = "192m"


@dataclass(frozen=True)
class Event:
    """A fault in the fleet and its time.

    Attributes:
        runs: Ids of the runs whose agent it hit; empty if it hit everything.
    """

    began: float
    ended: float
    number: int
    what: str
    runs: frozenset[str] = frozenset()

    @property
    def is_outage(self) -> bool:
        """Whether Postgres was unreachable during it."""
        return self.what.startswith("Postgres")


@dataclass
class Fleet:
    """All processes of the fleet.

    Attributes:
        journal: All faults so far.
        small_disk_homes: Homes of workers whose workspaces are on a separate small disk.
        balancer: The balancer of deliveries to the bots; `None` over Socket Mode.
    """

    folder: Path
    transport: str
    postgres: Postgres
    rows: Rows
    sandbox: Sandbox
    bots: list[SupervisedProgram]
    workers: list[SupervisedProgram]
    watch: ProcessWatch
    journal: list[Event] = field(default_factory=list)
    small_disk_homes: list[Path] = field(default_factory=list)
    balancer: Balancer | None = None

    @property
    def programs(self) -> list[SupervisedProgram]:
        """Bots and workers."""
        return [*self.bots, *self.workers]

    @property
    def homes(self) -> list[Path]:
        """The workers' homes."""
        return [worker.home for worker in self.workers]

    @property
    def outages(self) -> list[tuple[datetime, datetime]]:
        """Times in which Postgres was unreachable, so far."""
        return [
            (datetime.fromtimestamp(event.began, UTC), datetime.fromtimestamp(event.ended, UTC))
            for event in self.journal
            if event.is_outage
        ]

    def record(self, began: float, number: int, what: str, *runs: str) -> None:
        """Record a fault."""
        self.journal.append(Event(began, time.time(), number, what, frozenset(runs)))


def was_hit(
    journal: Iterable[Event], names: Collection[str], *, since: float, until: float
) -> bool:
    """Whether one of these programs was killed, stopped or frozen between two times (epoch, s)."""
    return any(
        event.began <= until and event.ended >= since and any(name in event.what for name in names)
        for event in journal
    )


@asynccontextmanager
async def open_fleet(*, transport: str = "socket") -> AsyncIterator[Fleet]:
    """Start everything and wait until it is ready."""
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="signalbox-faults-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        model_url = await stack.enter_async_context(run_module("benchmarks.scripted_model"))
        sandbox = await stack.enter_async_context(open_sandbox())
        postgres = await stack.enter_async_context(open_postgres())
        rows = await stack.enter_async_context(open_rows(postgres))
        variables = {
            "DATABASE_URL": postgres.dsn,
            "SIGNALBOX_WORKER_SLOTS": SLOTS,
            "ANTHROPIC_API_KEY": API_KEY,
            "ANTHROPIC_BASE_URL": model_url,
            **slack_variables(sandbox, transport=transport),
        }
        programs = [
            _program(folder, f"{command}-{letter}", command, variables)
            for command in ("bot", "worker")
            for letter in "ab"
        ]
        bots, workers = programs[:2], programs[2:]
        watch = ProcessWatch([worker.home for worker in workers])
        fleet = Fleet(folder, transport, postgres, rows, sandbox, bots, workers, watch)
        for worker in workers:
            if _small_disk(worker.home / "workspaces"):
                stack.callback(_unmount, worker.home / "workspaces")
                fleet.small_disk_homes.append(worker.home)
        for program in programs:
            program.start()
            stack.push_async_callback(program.stop)
        stack.push_async_callback(_cancelled, asyncio.create_task(watch.run(), name="watch"))
        if transport == "http":
            fleet.balancer = await stack.enter_async_context(open_balancer(bots))
            sandbox.events_url = fleet.balancer.url
        for program in programs:
            await program.wait_until_ready()
        yield fleet


def _program(
    folder: Path, name: str, command: str, variables: dict[str, object]
) -> SupervisedProgram:
    home = new_home(folder / name, ANY_ROOM)
    (home / "tmp").mkdir()
    return SupervisedProgram(
        name=name,
        command=command,
        home=home,
        log=folder / f"{name}.log",
        variables={**variables, "TMPDIR": home / "tmp"},
    )


def _small_disk(path: Path) -> bool:
    """Mount a small disk at a directory, if this user may."""
    if os.geteuid() != 0:
        return False
    path.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_WORKSPACES_BYTES}", "tmpfs", str(path)],
        check=False,
        capture_output=True,
        timeout=10,
    )
    return done.returncode == 0


def _unmount(path: Path) -> None:
    subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True, timeout=10)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
