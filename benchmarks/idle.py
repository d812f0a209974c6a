"""The resources that `signalbox up`, `bot` and `worker` use while nothing happens.

Each process has its own database.  When it is ready, nothing happens for 20 s; then its memory
is read, and its CPU time and its statements (Postgres logs each one) are counted for a minute.
The Postgres process is not included.  The baseline is a Python process that
imports slack_bolt, SQLAlchemy and asyncpg and then sleeps, measured in the same minute.  RSS
counts shared pages in full; USS, the memory that the end of the process would free, does not.
Finally `up` executes one run, and its memory is read again ten seconds after the run's end:
the memory of an idle process after some work.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.environment import BenchEnvironment, clean_environment, open_bench
from benchmarks.results import heading, line, median

_SETTLE_SECONDS = 20
_MEASURE_SECONDS = 60
_AFTER_WORK = 10
_KINDS = ("up", "bot", "worker")
_LOGGED = {"log_statement": "all", "log_line_prefix": "<%a>"}
# How Postgres logs a statement: sent as text, or prepared and executed.
_STATEMENT = (b"LOG:  statement: ", b"LOG:  execute ")
_BARE = """
import asyncio, sys
import asyncpg, slack_bolt.async_app, sqlalchemy.ext.asyncio
import slack_bolt.adapter.socket_mode.async_handler
print("imported", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, kw_only=True)
class _Cost:
    """One idle process; memory in MiB."""

    rss: float
    uss: float
    bare_rss: float
    cpu_seconds_a_minute: float
    statements_a_second: float
    rss_after_work: float | None


async def measure(*, repetitions: int = 1) -> None:
    """Measure and print the results; each repetition takes about five minutes."""
    heading("idle", "processes at rest ÷ a process that only imports their libraries")
    for kind in _KINDS:
        costs = [await _measure_cost(kind) for _ in range(repetitions)]
        rss, bare = [one.rss for one in costs], [one.bare_rss for one in costs]
        uss = median([one.uss for one in costs])
        line(f"signalbox {kind}: RSS", f"{median(rss):.0f} MiB (USS {uss:.0f})")
        worked = [one.rss_after_work for one in costs if one.rss_after_work is not None]
        if worked:
            line("  after its first run", f"{median(worked):.0f} MiB")
        line("  CPU", f"{median([one.cpu_seconds_a_minute for one in costs]):.2f} s a minute")
        line("  statements", f"{median([one.statements_a_second for one in costs]):.1f} a second")
        line("  bare process: RSS", f"{median(bare):.0f} MiB")
        line("  ratio of RSS", f"{median(rss) / median(bare):.2f} ×")


async def _measure_cost(kind: str) -> _Cost:
    async with open_bench(command=kind, postgres=_LOGGED) as bench, _bare_process() as other:
        await asyncio.sleep(_SETTLE_SECONDS)
        log = bench.folder / "postgres" / "log"
        cpu, statements = bench.cpu_seconds(), await asyncio.to_thread(_statements, log)
        await asyncio.sleep(_MEASURE_SECONDS)
        cpu = bench.cpu_seconds() - cpu
        statements = await asyncio.to_thread(_statements, log) - statements
        memory, bare_memory = bench.signalbox.memory_full_info(), other.memory_full_info()
        return _Cost(
            rss=_mib(memory.rss),
            uss=_mib(memory.uss),
            bare_rss=_mib(bare_memory.rss),
            cpu_seconds_a_minute=cpu * 60 / _MEASURE_SECONDS,
            statements_a_second=statements / _MEASURE_SECONDS,
            rss_after_work=await _after_work(bench) if kind == "up" else None,
        )


async def _after_work(bench: BenchEnvironment) -> float:
    await bench.command("run implement [scenario: long] [turns: 5] Count.")
    await bench.wait_until_ended((await bench.wait_until_started(0)).run_id)
    await asyncio.sleep(_AFTER_WORK)
    return _mib(bench.signalbox.memory_full_info().rss)


def _statements(log: Path) -> int:
    text = log.read_bytes()
    return sum(text.count(mark) for mark in _STATEMENT)


@asynccontextmanager
async def _bare_process() -> AsyncIterator[psutil.Process]:
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
