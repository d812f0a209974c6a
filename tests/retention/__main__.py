"""`make retention`: a synthetic year, retention over it, and what others notice meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy import text

from core.domain.retention import Removed, RetentionPolicy
from core.services.context import ServiceContext
from core.services.retention.retention import RetentionService
from core.store.database import migrate
from core.store.database.embedded.server import embedded_postgres
from core.store.database.engine import Database, open_database
from core.store.partitions.tables import PARTITIONED_TABLES
from tests.retention.interruptions import Interrupted, InterruptedContext
from tests.retention.locks import live_run, watched
from tests.retention.reference import present_rows, rows_to_keep
from tests.retention.year import Year, fill, present

_DAY = timedelta(days=1)
_POLICY = RetentionPolicy(events=90 * _DAY, transcripts=180 * _DAY, audit=300 * _DAY)
_LONGEST_MS = 100.0
_KINDS = ("events", "transcripts", "audit")
_SIZE = text(
    """
    SELECT sum(pg_total_relation_size(relid))
    FROM pg_partition_tree(CAST(CAST(:table AS text) AS regclass))
    """
)


def main() -> int:
    """Run the campaign; 1 if something went too early or too late, or somebody waited."""
    parser = argparse.ArgumentParser(prog="python -m tests.retention", description=__doc__)
    parser.add_argument("--sessions", type=int, default=3_000, help="each has three runs")
    parser.add_argument("--events", type=int, default=25, help="of each run")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    year = Year(
        now=present(), sessions=given.sessions, events=given.events, entries=12, seed=given.seed
    )
    with tempfile.TemporaryDirectory(prefix="signalbox-retention-") as folder:
        return asyncio.run(_campaign(Path(folder), year))


async def _campaign(folder: Path, year: Year) -> int:
    async with embedded_postgres(folder / "postgres") as dsn:
        began = time.monotonic()
        await asyncio.to_thread(migrate.upgrade, dsn)
        async with open_database(dsn) as database:
            await fill(database, year)
            _say(f"a year made in {time.monotonic() - began:.0f} s")
            return await _retention(database, year)


async def _retention(database: Database, year: Year) -> int:
    expected, before = await rows_to_keep(database, _POLICY, year.now), await present_rows(database)
    sizes = await _sizes(database)
    # What the watch adds is of now, and stays: it is told apart by its ids.
    newest = {name: max(getattr(before, name)) for name in _KINDS}
    began = time.monotonic()
    async with watched(database, await live_run(database)) as waits:
        interruptions = await _passes(database, year)
    seconds = time.monotonic() - began
    after = (await present_rows(database)).up_to(newest)
    context = ServiceContext(database, lambda: year.now)
    again = await RetentionService(context, _POLICY).delete_expired()
    smaller = await _sizes(database)
    for name in _KINDS:
        _say(
            f"{name}: {len(getattr(before, name)):,} rows before, {len(getattr(after, name)):,} "
            f"after, {len(getattr(expected, name)):,} by the reference"
        )
    for name, size in sizes.items():
        _say(f"{name}: {size / 1e6:.1f} MB before, {smaller[name] / 1e6:.1f} MB after")
    _say(f"{seconds:.1f} s, interrupted {interruptions} times and taken up again")
    _say(
        f"others: {waits.statements:,} statements; the longest wait for a lock "
        f"{waits.lock:.1f} ms, the slowest statement {waits.statement:.0f} ms"
    )
    wrong = {
        f"{expected.missing_from(after)} rows went too early": expected.missing_from(after) > 0,
        f"{after.missing_from(expected)} rows stayed too long": after.missing_from(expected) > 0,
        f"a second pass found more to do: {again}": set(again.values()) != {Removed()},
        "somebody waited too long for a lock": waits.lock >= _LONGEST_MS,
        "no space was given back": any(smaller[name] >= size for name, size in sizes.items()),
    }
    problems = [problem for problem, is_wrong in wrong.items() if is_wrong]
    for problem in problems:
        _say(f"WRONG: {problem}")
    _say(f"{len(problems)} wrong" if problems else "nothing wrong")
    return 1 if problems else 0


async def _passes(database: Database, year: Year) -> int:
    """Let retention work until it gets to its end; return how often it was interrupted."""
    random, interruptions = Random(year.seed), 0
    while True:
        context = InterruptedContext(
            database,
            lambda: year.now,
            left=[random.randrange(1, 40 * (interruptions + 1))],
            before_commit=random.random() < 0.5,
        )
        try:
            await RetentionService(context, _POLICY).delete_expired()
        except Interrupted:
            interruptions += 1
        else:
            return interruptions


async def _sizes(database: Database) -> dict[str, int]:
    """How much the tables take, and the database."""
    found: dict[str, int] = {}
    async with database.sessions() as session:
        for table in PARTITIONED_TABLES:
            size = await session.scalar(_SIZE, {"table": table.name})
            found[table.name] = int(size or 0)
        size = await session.scalar(text("SELECT pg_database_size(current_database())"))
        found["database"] = int(size or 0)
    return found


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the campaign's report


if __name__ == "__main__":
    raise SystemExit(main())
