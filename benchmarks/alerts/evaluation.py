"""What an evaluation of alerts costs at rest, and whether it stays the same with many old runs.

One process evaluates on seeded databases (`benchmarks/seed`), on which nothing happens; each has as
many live runs as the others.  The CPU time is that of this process and of Postgres's processes;
statements are counted in this process.  The clock evaluates every 10 seconds, so the share of a
core is the CPU time divided by ten seconds.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from uuid import uuid4

import psutil
from sqlalchemy import event

from benchmarks.machine import machine_line
from benchmarks.results import heading, line, median, percentile
from benchmarks.seed.load import new_database, seed, seed_server
from core.domain.alerts.channels.subscription import Source, Subscription
from core.services.alerts.evaluation import AlertEvaluation
from core.services.context import ServiceContext
from core.store.alerts import subscriptions
from core.store.database.engine import Database, open_database
from core.store.database.migrate import upgrade

SIZES = (1_000, 100_000, 1_000_000)
INTERVAL_SECONDS = 10
_CHANNELS = 20
# On each database: what an evaluation costs depends on them, and on the alerts that are open.
_LIVE = 20
_WARM_UP = 20


async def measure(*, repetitions: int = 200, runs: Sequence[int] = SIZES) -> None:
    """Measure and print the results.

    Args:
        repetitions: Evaluations on each database.
        runs: The numbers of runs, in ascending order.
    """
    heading("alert-evaluation", f"at rest, with {_CHANNELS} subscribed channels")
    line("machine", machine_line())
    async with AsyncExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="signalbox-alerts-", ignore_cleanup_errors=True)
            )
        )
        server = await stack.enter_async_context(seed_server(folder / "postgres"))
        baseline: float | None = None
        for size in runs:
            dsn = await new_database(server, f"runs_{size}")
            await asyncio.to_thread(upgrade, dsn)
            # Answers about ended runs are nothing that an evaluation reads.
            await seed(dsn, runs=size, live=_LIVE, report=lambda _: None, has_answers=False)
            async with open_database(dsn, pool_size=2) as database:
                took = await _measure(database, size, repetitions, folder / "postgres")
            baseline = baseline or took
            line(f"  {size:,} runs ÷ {runs[0]:,}", f"{took / baseline:.2f} × the time")


async def _measure(database: Database, size: int, repetitions: int, postgres: Path) -> float:
    """Print one size; returns the median of milliseconds."""
    context = ServiceContext(database, lambda: datetime.now(UTC))
    async with database.sessions.begin() as session:
        for number in range(_CHANNELS):
            await subscriptions.save(
                session,
                Subscription(
                    id=uuid4(),
                    team_id="T0SEED",
                    channel_id=f"C0ALERT{number:02d}",
                    source=Source.SLACK,
                    created_at=datetime.now(UTC),
                ),
            )
    evaluation = AlertEvaluation(context)
    for _ in range(_WARM_UP):
        await evaluation.evaluate()
    counted = 0

    def count(*_: object) -> None:
        nonlocal counted
        counted += 1

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        before = _cpu(postgres)
        times: list[float] = []
        for _ in range(repetitions):
            one = perf_counter()
            await evaluation.evaluate()
            times.append((perf_counter() - one) * 1000)
        used = _cpu(postgres) - before
    finally:
        event.remove(engine, "before_cursor_execute", count)
    each = used / repetitions
    line(
        f"{size:,} runs",
        f"p50 {median(times):.1f} p95 {percentile(times, 95):.1f} ms · {each * 1000:.1f} ms CPU "
        f"with Postgres = {each / INTERVAL_SECONDS:.2%} of a core · "
        f"{counted / repetitions:.1f} statements = "
        f"{counted / repetitions / INTERVAL_SECONDS:.2f} a second",
    )
    return median(times)


def _cpu(postgres: Path) -> float:
    """The CPU seconds that this process and the server in a folder have used."""
    used = sum(psutil.Process().cpu_times()[:2])
    for process in psutil.process_iter(["name", "cwd", "cpu_times"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == str(postgres):
            used += sum(process.info["cpu_times"][:2])
    return float(used)
