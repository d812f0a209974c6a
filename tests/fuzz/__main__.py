"""`make fuzz`: thousands of mutated deliveries and requests; fails on any 500 and any traceback."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from bot.assembly.backend import open_backend
from bot.assembly.settings import load_settings
from bot.sandbox.slack.server import ACK_SECONDS, open_sandbox
from tests.fuzz.campaign import Outcome, run_campaign
from tests.fuzz.target import open_target
from tests.limits import patient
from tests.sandbox import SLACK_DATA


def main() -> int:
    """Run a campaign, and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="number of cases")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another campaign")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument(
        "--recorded", type=Path, default=SLACK_DATA, help="folder with recorded payloads"
    )
    given = parser.parse_args()
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        del os.environ[name]
    began = time.monotonic()
    outcome = asyncio.run(_run(given))
    spent = time.monotonic() - began
    lines = [f"{given.count} cases with seed {given.seed} in {spent:.0f} s", *outcome.lines()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if outcome.is_clean else 1


async def _run(given: argparse.Namespace) -> Outcome:
    recorded = given.recorded if given.recorded.exists() else None
    with tempfile.TemporaryDirectory(prefix="signalbox-fuzz-") as home:
        settings = load_settings(SIGNALBOX_HOME=Path(home), DATABASE_URL=None)
        async with (
            open_sandbox(rate_limits=False, ack_timeout=patient(ACK_SECONDS)) as sandbox,
            open_backend(settings, migrates=True) as backend,
            open_target(sandbox, backend) as target,
        ):
            return await run_campaign(
                target,
                sandbox,
                count=given.count,
                seed=given.seed,
                first=given.first,
                recorded=recorded,
            )


if __name__ == "__main__":
    sys.exit(main())
