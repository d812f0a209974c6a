"""The answers about seeded runs, as Signalbox stores them when runs end.

They are made by the code that makes them in a bot, from the seeded rows, by as many processes as
there are processors.  Argument of a process: what it is to do, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.environment import clean_environment
from benchmarks.seed.plans import run_id
from bot.web.api.statuses.keeping import BATCH, AnswerKeeping
from core.services.context import ServiceContext
from core.services.runs.recent_runs import CacheLimits, RecentRuns
from core.services.runs.status import StatusService
from core.store.database.engine import open_database


async def answer_all(dsn: str, *, runs: int, number: int) -> None:
    """Store the usual answer about each ended run of a seeded database.

    Args:
        dsn: The database.
        runs: The number of its runs.
        number: The seed.

    Raises:
        RuntimeError: If a process fails.
    """
    count = max(min(os.cpu_count() or 1, runs // BATCH), 1)
    shared = {"dsn": dsn, "number": number, "count": count, "runs": runs}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.seed.answers",
            json.dumps({**shared, "first": first}),
            env=clean_environment(),
        )
        for first in range(count)
    ]
    if any([await process.wait() for process in processes]):
        raise RuntimeError("the answers could not be made")


async def _answer(*, dsn: str, number: int, first: int, count: int, runs: int) -> None:
    """Answer for each `count`-th batch of runs, from the `first` one on."""
    async with open_database(dsn, pool_size=2) as database:
        context = ServiceContext(database, lambda: datetime.now(UTC))
        # Of what is stored at once nothing has to be kept here.
        statuses = StatusService(context, RecentRuns(CacheLimits(max_bytes=1)))
        keeping = AnswerKeeping(statuses, context.clock)
        for batch in _batches(number, runs, first, count):
            await keeping.keep(batch)
        await statuses.answers.close()


def _batches(number: int, runs: int, first: int, count: int) -> Iterator[list[str]]:
    for start in range(first * BATCH, runs, count * BATCH):
        yield [run_id(number, one) for one in range(start, min(start + BATCH, runs))]


if __name__ == "__main__":
    asyncio.run(_answer(**json.loads(sys.argv[1])))
