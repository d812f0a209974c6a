"""Two living workers of one name: a home was copied, and with it what names its disk."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from core.domain.errors import OpsError
from core.domain.fleet.attempt import HEARTBEAT_INTERVAL, STALLED_AFTER
from core.domain.fleet.workers import WorkerRecord
from core.runner.worker.identity import Identity
from core.services.work import Work
from core.store.fleet import workers

# Who lives is heard of twice in it.
WATCH = 2.5 * HEARTBEAT_INTERVAL
_LOOK_AGAIN = timedelta(seconds=1)


class CopiedHome(OpsError):
    """Another worker lives under this node's name."""

    code = "copied_home"

    def __init__(self, twin: WorkerRecord, disk_id: Path) -> None:
        super().__init__(
            f"{twin.worker_id} lives under the same name",
            user_message=f"A worker that lives on {twin.machine} has this one's name "
            f"({twin.node}), so this home is a copy of its home. Delete {disk_id} and start "
            "again; if both use the same disk, give each a home of its own.",
        )
        self.twin = twin


async def succeed_alone(
    work: Work,
    identity: Identity,
    record: WorkerRecord,
    *,
    watch: timedelta = WATCH,
    look_again: timedelta = _LOOK_AGAIN,
) -> None:
    """Register a worker, and call its node's earlier ones gone once they are known to be.

    The lock on this disk proves it of the one that held it before on this host.  Any other that
    was heard of lately is watched: a machine that was booted anew, or a disk that is there twice.
    Two that start at the same time see each other, for each registers first and keeps beating.

    Raises:
        CopiedHome: If one of them lives.
    """
    heard: dict[str, datetime] = {}
    until = time.monotonic() + watch.total_seconds()
    while True:
        now = work.clock()
        async with work.transaction() as session:
            await workers.report(session, replace(record, heartbeat_at=now))
        async with work.transaction() as session:
            others = await workers.of_node(session, identity.node)
        doubtful = [one for one in others if _may_live(one, identity, now)]
        for one in doubtful:
            if one.heartbeat_at > heard.setdefault(one.worker_id, one.heartbeat_at):
                raise CopiedHome(one, identity.disk_id)
        if not doubtful or time.monotonic() >= until:
            break
        await asyncio.sleep(look_again.total_seconds())
    async with work.transaction() as session:
        await workers.succeed(session, record)


def _may_live(other: WorkerRecord, identity: Identity, now: datetime) -> bool:
    had_our_lock = other.worker_id == identity.predecessor and other.host == identity.host
    is_recent = now - other.heartbeat_at < STALLED_AFTER
    return other.worker_id != identity.worker_id and not had_our_lock and is_recent
