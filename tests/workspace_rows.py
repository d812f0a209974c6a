"""Rows of workspaces, without a disk."""

from __future__ import annotations

from datetime import timedelta

from bot.assembly.backend import utc_now
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.store.database.engine import Database
from core.store.fleet import workers, workspaces
from core.store.sessions import sessions
from tests.database import NOW, new_session

DISK = "here-aa"
WORKSPACE = "ws_0a1b2c3d4e5f"


async def reported_workspace(
    database: Database, *, disk: str = DISK, has_worker: bool = True
) -> str:
    """A workspace as a worker reports it; returns its id."""
    conversation = new_session()
    async with database.sessions.begin() as session:
        await sessions.add(session, conversation)
        await workspaces.report(
            session,
            disk,
            WORKSPACE,
            session_id=conversation.id,
            repo=None,
            used_at=NOW,
            now=NOW,
        )
    if has_worker:
        await worker_up(database)
    return WORKSPACE


async def worker_up(database: Database) -> None:
    """A worker of the disk that takes jobs."""
    now = utc_now()
    record = WorkerRecord(
        worker_id=f"{DISK}-1:deadbeef",
        node=f"{DISK}-1",
        host="here#boot",
        slots=1,
        state=WorkerState.UP,
        started_at=now,
        # However long the test takes, it is not silent.
        heartbeat_at=now + timedelta(hours=1),
    )
    async with database.sessions.begin() as session:
        await workers.record_heartbeat(session, record)
