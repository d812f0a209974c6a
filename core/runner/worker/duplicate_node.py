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
from core.runner.worker.identity import WorkerIdentity
from core.services.context import ServiceContext
from core.store.fleet import workers

# A living worker renews its heartbeat twice in it.
OBSERVATION_TIME = 2.5 * HEARTBEAT_INTERVAL
_RECHECK_INTERVAL = timedelta(seconds=1)


class CopiedHome(OpsError):
    """Another worker lives under this node's name.

    Attributes:
        duplicate: The other worker.
        disk_id: The file that tells homes apart; a copied home has the other one's.
    """

    code = "copied_home"

    def __init__(self, duplicate: WorkerRecord, disk_id: Path) -> None:
        super().__init__(
            f"{duplicate.worker_id} lives under the same name",
            user_message=f"A worker that lives on {duplicate.machine} has this one's name "
            f"({duplicate.node}), so this home is a copy of its home.",
        )
        self.duplicate = duplicate
        self.disk_id = disk_id


async def register_exclusively(
    context: ServiceContext,
    identity: WorkerIdentity,
    record: WorkerRecord,
    *,
    observe_for: timedelta = OBSERVATION_TIME,
    recheck_interval: timedelta = _RECHECK_INTERVAL,
) -> None:
    """Register a worker, and call its node's earlier ones gone once they are known to be.

    The lock on this disk proves it of the one that held it before on this host.  Any other that
    has a recent heartbeat is watched: a machine that was rebooted, or a disk that exists twice.
    Two that start at the same time see each other, for each registers first and keeps beating.

    Raises:
        CopiedHome: If one of them lives.
    """
    first_heartbeats: dict[str, datetime] = {}
    until = time.monotonic() + observe_for.total_seconds()
    while True:
        now = context.clock()
        async with context.transaction() as session:
            await workers.record_heartbeat(session, replace(record, heartbeat_at=now))
        async with context.transaction() as session:
            others = await workers.of_node(session, identity.node)
        possibly_alive = [one for one in others if _may_be_alive(one, identity, now)]
        for one in possibly_alive:
            if one.heartbeat_at > first_heartbeats.setdefault(one.worker_id, one.heartbeat_at):
                raise CopiedHome(one, identity.disk_id_file)
        if not possibly_alive or time.monotonic() >= until:
            break
        await asyncio.sleep(recheck_interval.total_seconds())
    async with context.transaction() as session:
        await workers.mark_predecessors_gone(session, record)


def _may_be_alive(other: WorkerRecord, identity: WorkerIdentity, now: datetime) -> bool:
    had_our_lock = other.worker_id == identity.predecessor and other.host == identity.host
    is_recent = now - other.heartbeat_at < STALLED_AFTER
    return other.worker_id != identity.worker_id and not had_our_lock and is_recent
