"""Workers as they report themselves."""

from __future__ import annotations

from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.store.database.engine import Database
from core.store.fleet import workers
from tests.database import NOW

WORKER = "build-3f2a91c7-0:08ac1de6"


async def reported_worker(database: Database) -> str:
    """The id of a worker that is up."""
    async with database.sessions.begin() as session:
        await workers.record_heartbeat(
            session,
            WorkerRecord(
                worker_id=WORKER,
                node="build-3f2a91c7-0",
                host="build",
                slots=4,
                state=WorkerState.UP,
                started_at=NOW,
                heartbeat_at=NOW,
            ),
        )
    return WORKER
