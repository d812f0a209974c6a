"""`make alerts-replay`: whole weeks of runs, whose alerts are compared with the reference's."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.store.database import migrate
from core.store.database.embedded.server import EmbeddedServer
from core.store.database.engine import open_database
from tests.alerts.replay.campaign import Replayed, replay
from tests.database import NO_DURABILITY

_SHOWN = 40


def main() -> int:
    """Replay, and print what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.alerts.replay", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--runs", type=int, default=500, help="continued ones come on top")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--crashes", type=int, default=200, help="evaluations that are cut short")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    differences = 0
    for seed in given.seeds:
        began = time.monotonic()
        with _postgres() as dsn:
            replayed = asyncio.run(_replay(dsn, seed, given))
        differences += len(replayed.found.lines)
        for line in replayed.found.lines[:_SHOWN]:
            _say(line)
        _say(f"{replayed} in {time.monotonic() - began:.0f} s")
    return 1 if differences else 0


async def _replay(dsn: str, seed: int, given: argparse.Namespace) -> Replayed:
    async with open_database(dsn) as database:
        return await replay(
            database, seed=seed, runs=given.runs, days=given.days, crashes=given.crashes
        )


@contextmanager
def _postgres() -> Iterator[str]:
    """An empty database of its own."""
    # A short path, because it contains a Unix socket.
    folder = Path(tempfile.mkdtemp(prefix="sbpg-"))
    server = EmbeddedServer(folder / "pg", NO_DURABILITY)
    try:
        dsn = server.acquire()
        try:
            migrate.upgrade(dsn)
            yield dsn
        finally:
            server.release()
    finally:
        shutil.rmtree(folder)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
