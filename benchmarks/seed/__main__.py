"""`python -m benchmarks.seed`: fill a database with runs, to try Signalbox on many.

Without `--dsn` an embedded Postgres in `--folder` is made, migrated and filled; point
`SIGNALBOX_HOME` at a folder whose `postgres` it is, or start any program with its address while
`--wait` keeps it running.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import sys
from pathlib import Path

from benchmarks.seed.load import seed, seed_server
from core.store.database.migrate import upgrade


async def _run(given: argparse.Namespace) -> None:
    if given.dsn is not None:
        await asyncio.to_thread(upgrade, given.dsn)
        await seed(given.dsn, runs=given.runs, number=given.seed)
        return
    async with seed_server(given.folder) as dsn:
        await asyncio.to_thread(upgrade, dsn)
        await seed(dsn, runs=given.runs, number=given.seed)
        if given.wait:
            print(f"DATABASE_URL={dsn}\nuntil this program's input ends", flush=True)
            await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.seed", description=inspect.cleandoc(__doc__ or "")
    )
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1, help="another number gives other runs")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--folder", type=Path, help="of an embedded Postgres")
    place.add_argument("--dsn", help="of an empty database, as a superuser")
    parser.add_argument("--wait", action="store_true", help="keep the embedded Postgres running")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
