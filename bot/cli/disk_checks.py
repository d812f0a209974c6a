"""Checks of `signalbox doctor` about the disk of the home, and the workspaces on it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from bot.assembly.backend import utc_now
from bot.assembly.settings import Settings
from bot.cli.check_result import EVERY_PART, CheckResult, failed, passed, warned
from bot.words.counts import plural
from bot.words.markup import PLAIN
from bot.words.workspaces import disk_line
from core.domain.actor import SYSTEM
from core.domain.workspaces.record import WorkspaceState
from core.services.context import ServiceContext
from core.services.fleet.workspaces import WorkspaceService
from core.store.database.engine import Database

MIN_FREE_BYTES = 2 * 1024**3


async def check_disk(settings: Settings) -> AsyncIterator[CheckResult]:
    """Whether the home can be made, and has room for runs."""
    home, policy = settings.node.home, settings.config.workspaces.policy
    existing_parent = next(path for path in (home, *home.parents) if path.exists())
    try:
        await asyncio.to_thread(home.mkdir, mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        yield failed(f"SIGNALBOX_HOME {home} cannot be made: {error.strerror}.", stops=EVERY_PART)
        return
    free = shutil.disk_usage(existing_parent).free
    summary = f"{free / 1024**3:.1f} GiB free under {home}"
    if free < policy.min_free_bytes:
        yield failed(
            f"{summary}: no run starts below {policy.min_free_bytes / 1024**3:.1f} GiB "
            "(`[workspaces] min_free_gb`); free some.",
            spoils_runs=True,
        )
    elif free < MIN_FREE_BYTES:
        yield warned(f"{summary}: workspaces need room, free some.")
    else:
        yield passed(summary)


async def workspace_results(database: Database, settings: Settings) -> list[CheckResult]:
    """What the workspaces of this home take, and how much of that can go, as its workers say."""
    view = await WorkspaceService(ServiceContext(database, utc_now)).view(by=SYSTEM)
    own = await asyncio.to_thread(_known_disk, settings.node.home)
    disk = next((one for one in view.disks if one.disk_id == own), None)
    if disk is None:
        return [passed("workspaces: no worker has reported those of this home yet")]
    kept = [
        one
        for one in view.workspaces
        if one.row.disk_id == own
        and one.row.state is WorkspaceState.PRESENT
        and one.row.stay is not None
        and one.row.stay.reason.is_work
    ]
    line = disk_line(disk, PLAIN)
    if kept:
        line += f", {plural(len(kept), 'workspace has', 'workspaces have')} work that only it has"
    return [warned(f"{line}.") if disk.missing_bytes else passed(line)]


def _known_disk(home: Path) -> str | None:
    file = home / "disk-id"
    return file.read_text().strip() if file.is_file() else None
