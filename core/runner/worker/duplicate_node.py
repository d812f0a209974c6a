"""Detection of two live workers with one node name, which happens if a home was copied."""

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

# A live worker renews its heartbeat twice in this time.
OBSERVATION_TIME = 2.5 * HEARTBEAT_INTERVAL
_RECHECK_INTERVAL = timedelta(seconds=1)


class CopiedHome(OpsError):
    """Another live worker uses this node's name.

    Attributes:
        duplicate: The other worker.
        disk_id: The file with the home's id, which was copied with the home.
    """

    code = "copied_home"

    def __init__(self, duplicate: WorkerRecord, disk_id: Path) -> None:
        super().__init__(
            f"{duplicate.worker_id} lives under the same name",
            user_message=f"A live worker on {duplicate.machine} has the same name as this one "
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
    """Register a worker, and mark the earlier workers of its node as gone once that is certain.

    The previous holder of the node's lock on this host is certainly dead.  Any other worker with
    a recent heartbeat is observed first: the machine may have been rebooted, or the disk may
    exist twice.  Two workers that start at the same time detect each other, because each registers
    before it observes, and renews its heartbeat meanwhile.

    Raises:
        CopiedHome: If one of them is alive.
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
