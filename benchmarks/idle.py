"""What `signalbox up` costs while nothing happens.

The process is started, is ready, and is left alone for 20 s; then its memory is read, and its
CPU time and the database's transactions are counted for a minute.  Postgres is a process
apart and not in these figures.  The baseline is a Python process that imports slack_bolt,
SQLAlchemy and asyncpg and then sleeps, measured in the same minute.  RSS counts shared pages
in full; USS, the memory that its end would give back, does not.  Then one run is executed, and
ten seconds after its end the memory is read again: what a process at rest has after work.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
from sqlalchemy import text

from benchmarks.figures import heading, line, median
from benchmarks.plant import Plant, clean_environment, open_plant

_SETTLE = 20
_WATCH = 60
_AFTER_WORK = 10
_BARE = """
import asyncio, sys
import asyncpg, slack_bolt.async_app, sqlalchemy.ext.asyncio
import slack_bolt.adapter.socket_mode.async_handler
print("imported", flush=True)
sys.stdin.read()
"""
_COUNT = text(
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)


async def measure(*, repetitions: int = 1) -> None:
    """Print the figures; each repetition is a new process and takes a minute and a half."""
    heading("idle", "`signalbox up` at rest ÷ a process that only imports its libraries")
    rss: list[float] = []
    bare: list[float] = []
    for _ in range(repetitions):
        async with open_plant() as plant, _bare() as other:
            await asyncio.sleep(_SETTLE)
            cpu, transactions = plant.cpu_seconds(), await _transactions(plant)
            await asyncio.sleep(_WATCH)
            cpu = plant.cpu_seconds() - cpu
            transactions = await _transactions(plant) - transactions
            memory, least = plant.signalbox.memory_full_info(), other.memory_full_info()
            rss.append(_mib(memory.rss))
            bare.append(_mib(least.rss))
            await _work(plant)
            worked = plant.signalbox.memory_full_info()
        line("RSS of signalbox up", f"{_mib(memory.rss):.0f} MiB (USS {_mib(memory.uss):.0f})")
        line("  after its first run", f"{_mib(worked.rss):.0f} MiB (USS {_mib(worked.uss):.0f})")
        line("RSS of the bare process", f"{_mib(least.rss):.0f} MiB (USS {_mib(least.uss):.0f})")
        line("CPU", f"{cpu * 60 / _WATCH:.2f} s a minute")
        line("transactions", f"{transactions / _WATCH:.1f} a second")
    line("ratio of RSS, medians", f"{median(rss) / median(bare):.2f} ×")


async def _work(plant: Plant) -> None:
    await plant.command("run implement [scenario: long] [turns: 5] Count.")
    await plant.ended((await plant.started(0)).run_id)
    await asyncio.sleep(_AFTER_WORK)


async def _transactions(plant: Plant) -> int:
    """Of the whole database; the benchmark's own are two in a minute."""
    async with plant.database.sessions() as session:
        return int(await session.scalar(_COUNT) or 0)


@asynccontextmanager
async def _bare() -> AsyncIterator[psutil.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _BARE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    try:
        if process.stdout is None:
            raise RuntimeError("its output is a pipe")
        async with asyncio.timeout(30):
            await process.stdout.readline()
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        await process.wait()


def _mib(size: int) -> float:
    return size / 1024**2
