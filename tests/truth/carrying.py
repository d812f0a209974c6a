"""Waits until the commits of a live run are stored, so that a lost worker takes none with it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from core.domain.runs.run import Run
from core.store.sessions import carried_work
from tests.core_harness import CoreHarness
from tests.limits import limit

_SECONDS = 45


async def wait_until_carried(core_harness: CoreHarness, run: Run) -> None:
    """Wait until all branches of a run's workspace are stored as they are.

    Raises:
        TimeoutError: If they are not.
    """
    path = (await core_harness.read_run(run)).run.workspace_path
    assert path is not None
    branches = await asyncio.to_thread(_branches_of, Path(path))
    async with limit(_SECONDS):
        while True:
            async with core_harness.backend.database.sessions() as session:
                latest = await carried_work.latest(session, run.session_id)
            if latest is not None and branches.items() <= latest.bundle.references.items():
                return
            await asyncio.sleep(0.1)


def _branches_of(path: Path) -> dict[str, str]:
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads"],
        cwd=path,
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(line.split(" ") for line in listed.stdout.splitlines())
