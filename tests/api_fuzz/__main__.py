"""`make api-fuzz`: 10,000 requests of the API's own document; fails on each that is not kept."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bot.assembly.backend import open_backend
from bot.assembly.settings import load_settings
from tests.api import open_api
from tests.api_fuzz.campaign import Outcome, run_campaign


def main() -> int:
    """Run a campaign, and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.api_fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="number of requests")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another campaign")
    given = parser.parse_args()
    began = time.monotonic()
    outcome = asyncio.run(_run(given.count, given.seed))
    spent = time.monotonic() - began
    lines = [f"seed {given.seed}, {spent:.0f} s", *outcome.lines()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if outcome.is_clean and outcome.client["cases"] == given.count else 1


async def _run(count: int, seed: int) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="signalbox-api-fuzz-") as home:
        settings = load_settings(SIGNALBOX_HOME=Path(home), DATABASE_URL=None)
        async with (
            open_backend(settings, migrates=True) as backend,
            open_api(backend.database) as api,
        ):
            return await run_campaign(api, count=count, seed=seed)


if __name__ == "__main__":
    sys.exit(main())
